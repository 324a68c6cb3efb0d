import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { dateOfTimestamp } from "@hull/api/timestamp";
import { type Any, decodeJsonAny, isKnownType, jsonTypes, typeNameOf, unpackAny } from "@hull/api/typeurl";
import { invalidArgument } from "@hull/errors";
import { compileTemplate } from "../../template/index.ts";
import { needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { interrupted } from "../pull.ts";
import { openSession } from "../session.ts";

export interface EventsFlags {
  readonly filter: readonly string[];
  readonly format: string | undefined;
}

/** An event in docker's words: what happened to which thing. */
interface Shown {
  readonly type: "container" | "image" | "namespace" | "snapshot" | "content" | "sandbox";
  readonly action: string;
  readonly id: string;
}

/** docker's name of what containerd tells under a topic; others keep the topic's. */
const actions: Readonly<Record<string, string>> = {
  "tasks/exit": "die",
  "tasks/paused": "pause",
  "tasks/resumed": "unpause",
  "tasks/exec-added": "exec_create",
  "tasks/exec-started": "exec_start",
  "tasks/delete": "stop",
  "tasks/start": "start",
  "tasks/create": "attach",
  "containers/delete": "destroy",
  "images/create": "tag",
  "images/delete": "untag",
  "image-pulls/progress": "pull",
};

/** `hull events`: what happens, until it is interrupted. */
export async function events(call: Call<EventsFlags>): Promise<number> {
  const { args, flags, host, globals } = call;
  needArguments(args, 0, 0, "");
  const filters = flags.filter.map(parseFilter);
  const template =
    flags.format === undefined || flags.format === "json"
      ? undefined
      : compileTemplate(flags.format.replaceAll("\\t", "\t"));
  await using client = await openSession(call);
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const stream = client.service(EventsDefinition).subscribe({ filters: [] }, { signal: stop.signal });
  try {
    for await (const { timestamp, namespace, topic, event } of stream) {
      if (namespace !== globals.namespace && namespace !== "") continue;
      const fields = event === undefined ? {} : await fieldsOf(event);
      const shown = describe(topic, fields);
      if (shown === undefined || !filters.every((matches) => matches(shown))) continue;
      const time = dateOfTimestamp(timestamp) ?? new Date();
      const attributes = attributesOf(fields);
      const value = {
        Type: shown.type,
        Action: shown.action,
        Actor: { ID: shown.id, Attributes: attributes },
        scope: "local",
        time: Math.floor(time.getTime() / 1000),
        timeNano: Number(timestamp?.seconds ?? 0n) * 1e9 + (timestamp?.nanos ?? 0),
      };
      const list = Object.entries(attributes).map(([key, text]) => `${key}=${text}`);
      const line = `${time.toISOString()} ${shown.type} ${shown.action} ${shown.id}${list.length === 0 ? "" : ` (${list.join(", ")})`}`;
      await host.out(`${flags.format === "json" ? JSON.stringify(value) : (template?.(value) ?? line)}\n`);
    }
  } catch (error) {
    if (stop.signal.aborted) return interrupted;
    throw error;
  }
  return 0;
}

async function fieldsOf(event: Any): Promise<Record<string, unknown>> {
  if (event.typeUrl === jsonTypes.imagePull) return decodeJsonAny(event, event.typeUrl) as Record<string, unknown>;
  const known = isKnownType(typeNameOf(event.typeUrl)) ? (await unpackAny(event)).message : {};
  return known as Record<string, unknown>;
}

function describe(topic: string, fields: Record<string, unknown>): Shown | undefined {
  const [, group = "", rest = ""] = /^\/([^/]+)\/(.+)$/.exec(topic) ?? [];
  const action = actions[`${group}/${rest}`] ?? rest;
  const id = String(
    fields.containerId ?? fields.id ?? fields.name ?? fields.key ?? fields.namespace ?? fields.digest ?? "",
  );
  switch (group) {
    case "tasks":
      return { type: "container", action, id };
    case "containers":
      return { type: "container", action, id };
    case "images":
    case "image-pulls":
      return { type: "image", action, id };
    case "namespaces":
      return { type: "namespace", action, id };
    case "snapshot":
      return { type: "snapshot", action, id };
    case "content":
      return { type: "content", action, id };
    case "sandboxes":
      return { type: "sandbox", action, id };
    default:
      return undefined;
  }
}

/** What else an event tells, as far as it is short. */
function attributesOf(fields: Record<string, unknown>): Record<string, string> {
  const named: Readonly<Record<string, string>> = {
    exitStatus: "exitCode",
    image: "image",
    pid: "pid",
    execId: "execID",
    phase: "phase",
    fetched: "fetched",
    total: "total",
    error: "error",
  };
  return Object.fromEntries(
    Object.entries(named).flatMap(([field, name]) => {
      const value = fields[field];
      return value === undefined || value === "" || (value === 0 && field !== "exitStatus")
        ? []
        : [[name, String(value)]];
    }),
  );
}

function parseFilter(text: string): (event: Shown) => boolean {
  const [, key = "", value = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  switch (key) {
    case "type":
      return ({ type }) => type === value;
    case "event":
      return ({ action }) => action === value;
    case "container":
      return ({ type, id }) => type === "container" && id.startsWith(value);
    case "image":
      return ({ type, id }) => type === "image" && id.includes(value);
    default:
      throw invalidArgument(`filter "${text}" is not one of type=, event=, container=, image=`);
  }
}
