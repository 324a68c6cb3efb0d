import { existsSync } from "node:fs";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { type LogEntry, millisOf, readEntries } from "@hull/client/logs/entries";
import { type LogPlace, logPlaceOf } from "@hull/client/logs/place";
import { readLog } from "@hull/client/logs/read";
import { endOf } from "@hull/client/tasks";
import { failedPrecondition, invalidArgument, notFound } from "@hull/errors";
import type { Host } from "../../command/index.ts";
import { findContainer, nameOf, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { interrupted } from "../pull.ts";
import { openSession } from "../session.ts";
import { parseTime } from "../times.ts";

interface LogFlags {
  follow: boolean;
  tail: string;
  since: string | undefined;
  until: string | undefined;
  timestamps: boolean;
}

/** `hull logs` */
export async function logs(call: Call<LogFlags>): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 1, 1, "a container is");
  const time = (name: "since" | "until"): Date | undefined => {
    const text = flags[name];
    return text === undefined ? undefined : parseTime(text, `--${name}`);
  };
  const options: PrintOptions = {
    follow: flags.follow,
    tail: parseTail(flags.tail),
    since: time("since"),
    until: time("until"),
    timestamps: flags.timestamps,
    host,
  };
  const key = args[0] ?? "";
  // No container's own name has a slash.
  if (key.includes("/")) {
    const [{ openPods }, { podLog }] = await Promise.all([import("../pods.ts"), import("../pod-logs.ts")]);
    await using client = await openPods(call);
    return await printSource(await podLog(client, key), options);
  }
  await using client = await openSession(call);
  return await printLog(client, await findContainer(client, key), options);
}

interface PrintOptions {
  readonly follow: boolean;
  readonly tail: number | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  readonly timestamps?: boolean;
  readonly host: Host;
  /** Ends it early; unless given, SIGINT does. */
  readonly signal?: AbortSignal | undefined;
}

/** A log, wherever it comes from. */
export interface LogSource {
  /** The container's, for errors. */
  readonly name: string;
  readonly place: LogPlace | undefined;
  /** Resolves when no more comes. */
  ended(): Promise<void>;
}

/** Prints the last so many lines of a container's log, and with `follow` what comes until it ends. */
export function printLog(client: Client, container: Container, options: PrintOptions): Promise<number> {
  const source = { name: nameOf(container), place: logPlaceOf(container), ended: () => endOf(client, container.id) };
  return printSource(source, options);
}

async function printSource({ name, place, ended }: LogSource, options: PrintOptions): Promise<number> {
  const { follow, tail, since, until, timestamps = false, host, signal } = options;
  if (place === undefined || !existsSync(place.file))
    throw notFound(
      `container "${name}" has no log: its output went to the terminal that ran it; run it with -d to keep one`,
    );
  if (!place.times && (timestamps || since !== undefined || until !== undefined))
    throw failedPrecondition(
      `the log of container "${name}" has no times: leave out --since, --until and --timestamps; containers that hull's own daemon starts have them`,
    );
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  if (follow && signal === undefined) process.once("SIGINT", onInterrupt);
  const reading = { tail, follow: follow ? ended : undefined, signal: signal ?? stop.signal };
  try {
    if (place.times)
      for await (const entries of readEntries(place, { ...reading, since, until }))
        await printEntries(entries, host, timestamps);
    else for await (const chunk of readLog(place, reading)) await host.out(chunk);
  } finally {
    process.off("SIGINT", onInterrupt);
  }
  return reading.signal.aborted ? interrupted : 0;
}

/** Prints each to the output that it came by, in their order. */
async function printEntries(entries: readonly LogEntry[], host: Host, timestamps: boolean): Promise<void> {
  let text = "";
  let output: LogEntry["output"] = "stdout";
  const print = async (): Promise<void> => {
    const bytes = Buffer.from(text, "latin1");
    text = "";
    if (bytes.length === 0) return;
    if (output === "stdout") await host.out(bytes);
    else host.err(bytes.toString());
  };
  for (const entry of entries) {
    if (entry.output !== output) await print();
    output = entry.output;
    const time = timestamps && entry.time !== undefined ? `${inUtc(entry.time)} ` : "";
    text += entry.whole ? `${time}${entry.text}\n` : `${time}${entry.text}`;
  }
  await print();
}

/** The same time in UTC, to the nanosecond, as docker prints it. */
function inUtc(time: string): string {
  if (time.endsWith("Z")) return time;
  const fraction = /\.\d+/.exec(time)?.[0] ?? "";
  return `${new Date(millisOf(time)).toISOString().slice(0, 19)}${fraction}Z`;
}

/** Undefined for "all". */
function parseTail(text: string): number | undefined {
  if (text === "all" || text === "-1") return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw invalidArgument(`--tail takes a number of lines or "all", not "${text}"`);
}
