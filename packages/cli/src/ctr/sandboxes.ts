import { readFileSync } from "node:fs";
import { ControllerDefinition, StoreDefinition } from "@hull/api/gen/containerd/services/sandbox/v1/sandbox";
import type { Sandbox } from "@hull/api/gen/containerd/types/sandbox";
import { Empty } from "@hull/api/gen/google/protobuf/empty";
import { nanosOfTimestamp, nowNanos, rfc3339OfNanos, type Timestamp, timestampOfNanos } from "@hull/api/timestamp";
import { encodeAny, encodeJsonAny, jsonTypes } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { HullError, isCode } from "@hull/errors";
import { formatColumns, type Host } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError, withClass } from "./errors.ts";
import type { sandboxesList, sandboxesRemove, sandboxesRun } from "./flags.ts";
import { goJson, sorted } from "./go-json.ts";
import { logLine } from "./log.ts";

/** The controller that containerd's client takes. */
const sandboxer = "shim";

/** Makes a sandbox of a runtime spec, as containerd's client does: its record, the sandbox itself, and its start. */
export const runSandbox: CtrAction<typeof sandboxesRun> = async ({ flags, args, globals, host, help }) => {
  if (args.length !== 2) return await help();
  const [path = "", id = ""] = args;
  const spec = readSpec(path);
  return await withClient(globals, async (client) => {
    if (id === "") throw new CtrError("failed to create new sandbox: sandbox ID must be specified");
    const now = timestampOfNanos(nowNanos());
    const wanted = {
      sandboxId: id,
      runtime: { name: flags.runtime, options: encodeAny("google.protobuf.Empty", Empty, {}) },
      spec: encodeJsonAny(jsonTypes.spec, spec),
      createdAt: now,
      updatedAt: now,
      sandboxer,
    };
    const controller = client.service(ControllerDefinition);
    await said("failed to create new sandbox", client.service(StoreDefinition).create({ sandbox: wanted }));
    await said(
      `failed to create new sandbox: failed to create sandbox with ${sandboxer} sandboxer`,
      controller.create({ sandboxId: id, options: wanted.spec, sandbox: wanted, sandboxer }),
    );
    await said("failed to start", controller.start({ sandboxId: id, sandboxer }));
    await host.out(`${id}\n`);
    return 0;
  });
};

function readSpec(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error && "code" in error && error.code === "ENOENT" ? "no such file or directory" : "";
    throw new CtrError(`failed to read sandbox config: open ${path}: ${why || HullError.from(error).message}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CtrError(`failed to parse sandbox config: ${HullError.from(error).message}`);
  }
}

export const listSandboxes: CtrAction<typeof sandboxesList> = ({ flags, globals, host }) =>
  withClient(globals, async (client) => {
    const { list } = await said(
      "failed to list sandboxes",
      client.service(StoreDefinition).list({ filters: [...flags.filters] }),
    );
    const rows = list.map(
      ({ sandboxId, createdAt, runtime }) => `${sandboxId}\t${goTime(createdAt)}\t${runtime?.name ?? ""}\t\n`,
    );
    await host.out(formatColumns(`ID\tCREATED\tRUNTIME\t\n${rows.join("")}`, { minWidth: 1, padding: 1 }));
    return 0;
  });

/** A time as Go prints it: `2026-11-22 10:38:43.730578 +0000 UTC`. */
const goTime = (time: Timestamp | undefined): string =>
  rfc3339OfNanos(nanosOfTimestamp(time) ?? 0n)
    .replace("T", " ")
    .replace("Z", " +0000 UTC");

/** Stops and shuts down, then forgets. What goes wrong with one is told, and the next one's turn comes. */
export const removeSandboxes: CtrAction<typeof sandboxesRemove> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    for (const id of args) {
      const step = stepOf(host, id);
      const sandbox = await step("load", load(client, id));
      if (sandbox === undefined) continue;
      const controller = client.service(ControllerDefinition);
      const which = { sandboxId: id, sandboxer: sandbox.sandboxer };
      const stopped = await step("stop", controller.stop(which));
      if (stopped === undefined && !flags.force) continue;
      if ((await step("shutdown", shutDown(client, which))) === undefined) continue;
      logLine(host, "info", `deleted: ${id}`);
    }
    return 0;
  });

async function shutDown(client: Client, which: { sandboxId: string; sandboxer: string }): Promise<true> {
  const ignoring = async (what: string, done: Promise<unknown>): Promise<void> => {
    try {
      await said(what, done);
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
    }
  };
  await ignoring("failed to shutdown sandbox", client.service(ControllerDefinition).shutdown(which));
  const { sandboxId } = which;
  await ignoring("failed to delete sandbox from store", client.service(StoreDefinition).delete({ sandboxId }));
  return true;
}

/** What came of a step, undefined if it failed, which is logged. */
const stepOf =
  (host: Host, id: string) =>
  async <T>(name: string, done: Promise<T>): Promise<T | undefined> => {
    try {
      return await done;
    } catch (error) {
      logLine(host, "error", `failed to ${name} sandbox ${id}`, { error: withClass(HullError.from(error)) });
      return undefined;
    }
  };

export const sandboxInfo: CtrAction = async ({ args: [id = ""], globals, host }) => {
  if (id === "") throw new CtrError("sandbox id must be provided: invalid argument");
  return await withClient(globals, async (client) => {
    const sandbox = await load(client, id).catch(() => {
      throw new CtrError(`failed to load sandbox ${id}`);
    });
    await host.out(`${goJson(described(sandbox), "    ")}\n`);
    return 0;
  });
};

async function load(client: Client, sandboxId: string): Promise<Sandbox> {
  const { sandbox } = await client.service(StoreDefinition).get({ sandboxId });
  if (sandbox === undefined) throw new CtrError(`the record of sandbox "${sandboxId}" did not come`);
  return sandbox;
}

function described(sandbox: Sandbox): unknown {
  const { sandboxId, labels, runtime, spec, createdAt, updatedAt, extensions } = sandbox;
  const any = (value: { typeUrl: string; value: Uint8Array }) => ({
    type_url: value.typeUrl,
    value: value.value.length === 0 ? undefined : value.value,
  });
  const none = <T>(map: Readonly<Record<string, T>>): boolean => Object.keys(map).length === 0;
  return {
    ID: sandboxId,
    Labels: none(labels) ? null : sorted(labels),
    Runtime: { Name: runtime?.name ?? "", Options: runtime?.options === undefined ? null : any(runtime.options) },
    Spec: spec === undefined ? null : { type_url: spec.typeUrl, value: spec.value },
    Sandboxer: sandbox.sandboxer,
    CreatedAt: rfc3339OfNanos(nanosOfTimestamp(createdAt) ?? 0n),
    UpdatedAt: rfc3339OfNanos(nanosOfTimestamp(updatedAt) ?? 0n),
    Extensions: none(extensions)
      ? null
      : sorted(Object.fromEntries(Object.entries(extensions).map(([key, value]) => [key, any(value)]))),
  };
}

/** Puts what was to be done before the error's own words. */
async function said<T>(what: string, done: Promise<T>): Promise<T> {
  try {
    return await done;
  } catch (error) {
    const { code, message } = HullError.from(error);
    throw new HullError(code, `${what}: ${message}`, { cause: error });
  }
}
