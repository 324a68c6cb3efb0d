import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { getProcess } from "@hull/client/tasks";
import { canceled, invalidArgument, isCode, notFound } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Inotify, inotifyEvents } from "@hull/sys/inotify";
import type { Host } from "../../command/index.ts";
import { findContainer, nameOf, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { logFileOf, olderLogs, rotates } from "../logs.ts";
import { interrupted } from "../pull.ts";
import { openSession } from "../session.ts";

const chunkSize = 64 * 1024;

/** `hull logs` */
export async function logs(call: Call<{ follow: boolean; tail: string }>): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 1, 1, "a container is");
  const tail = parseTail(flags.tail);
  const key = args[0] ?? "";
  const options = { follow: flags.follow, tail, host };
  // No container's own name has a slash.
  if (key.includes("/")) {
    const [{ openPods }, { podLog }] = await Promise.all([import("../pods.ts"), import("../pod-logs.ts")]);
    await using client = await openPods(call);
    return await printSource(await podLog(client, key, host), options);
  }
  await using client = await openSession(call);
  return await printLog(client, await findContainer(client, key), options);
}

interface PrintOptions {
  readonly follow: boolean;
  readonly tail: number | undefined;
  readonly host: Host;
  readonly interruptible?: boolean;
}

/** A log, wherever it comes from. */
export interface LogSource {
  /** The container's, for errors. */
  readonly name: string;
  readonly file: string | undefined;
  /** What it was before, the oldest first, where it begins anew as another file of its name; undefined if it never does. */
  readonly older: (() => readonly string[]) | undefined;
  /** Resolves when no more comes. */
  ended(): Promise<void>;
  print(bytes: Uint8Array): Promise<void>;
}

/** Prints the last so many lines of a container's log, and with `follow` what comes until it ends. */
export function printLog(client: Client, container: Container, options: PrintOptions): Promise<number> {
  const file = logFileOf(container);
  return printSource(
    {
      name: nameOf(container),
      file,
      older: file !== undefined && rotates(container) ? () => olderLogs(file) : undefined,
      ended: () => endOf(client, container),
      print: async (bytes) => void (await options.host.out(bytes)),
    },
    options,
  );
}

async function printSource(source: LogSource, { follow, tail, interruptible = true }: PrintOptions): Promise<number> {
  const { file } = source;
  using log = openLog(source);
  const older = source.older?.() ?? [];
  // Watched before the first look, so that nothing is written unseen in between.
  using changes = new Inotify();
  const follows = follow && file !== undefined;
  // A log that begins anew is another file of the same name.
  if (follows)
    changes.add(source.older === undefined ? file : dirname(file), inotifyEvents.modified | inotifyEvents.created);
  const { at: start, left } = tail === undefined ? { at: 0, left: Infinity } : startOfTail(log.fd, tail);
  let at = start;
  await printOlder(older, left, source);
  if (!follows) {
    await printFrom(log.fd, at, source);
    return 0;
  }
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort(canceled("interrupted"));
  if (interruptible) process.once("SIGINT", onInterrupt);
  const ended = source.ended().finally(() => stop.abort(canceled("the container has ended")));
  ended.catch(() => {});
  at = await printFrom(log.fd, at, source);
  try {
    for await (const { name } of changes.changes({ signal: stop.signal })) {
      if (name !== "" && name !== basename(file)) continue;
      at = await printFrom(log.fd, at, source);
      while (log.renew()) at = await printFrom(log.fd, 0, source);
    }
  } catch (error) {
    if (!isCode(error, "canceled")) throw error;
  } finally {
    process.off("SIGINT", onInterrupt);
  }
  if (stop.signal.reason instanceof Error && stop.signal.reason.message === "interrupted") return interrupted;
  at = await printFrom(log.fd, at, source);
  while (log.renew()) await printFrom(log.fd, 0, source);
  await ended;
  return 0;
}

/** Undefined for "all". */
function parseTail(text: string): number | undefined {
  if (text === "all" || text === "-1") return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw invalidArgument(`--tail takes a number of lines or "all", not "${text}"`);
}

/** A log that is read. */
interface OpenLog extends Disposable {
  readonly fd: number;
  /** Opens the file that came after this one. @returns false if none has */
  renew(): boolean;
}

function openLog({ name, file, older }: LogSource): OpenLog {
  try {
    if (file !== undefined) {
      let fd = openSync(file, "r");
      return {
        get fd() {
          return fd;
        },
        renew() {
          const { ino } = fstatSync(fd);
          const inodeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.ino;
          if (inodeOf(file) === ino) return false;
          // It may have begun anew more than once: the next is the one after the file that is open now, or the oldest left.
          const files = [...(older?.() ?? []), file];
          const next = openIfThere(files[files.findIndex((path) => inodeOf(path) === ino) + 1] ?? file);
          if (next === undefined) return false;
          closeSync(fd);
          fd = next;
          return true;
        },
        [Symbol.dispose]: () => closeSync(fd),
      };
    }
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
  throw notFound(
    `container "${name}" has no log: its output went to the terminal that ran it; run it with -d to keep one`,
  );
}

/** Resolves when the container has ended, or is gone. */
export async function endOf(client: Client, { id }: Pick<Container, "id">): Promise<void> {
  try {
    await (await getProcess(client, id)).wait();
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}

/** Prints all from an offset on; gives the offset behind it. */
async function printFrom(fd: number, from: number, source: LogSource): Promise<number> {
  const buffer = new Uint8Array(chunkSize);
  // A log that was truncated begins anew.
  let at = fstatSync(fd).size < from ? 0 : from;
  for (;;) {
    const count = readSync(fd, buffer, 0, buffer.length, at);
    if (count === 0) return at;
    await source.print(buffer.slice(0, count));
    at += count;
  }
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, "r");
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    return undefined;
  }
}

/** Prints the last so many lines of what a log was before, the oldest file first. */
async function printOlder(files: readonly string[], lines: number, source: LogSource): Promise<void> {
  using opened = new DisposableStack();
  const parts: { fd: number; at: number }[] = [];
  let left = lines;
  for (const file of files.toReversed()) {
    if (left <= 0) break;
    const fd = openIfThere(file);
    if (fd === undefined) continue;
    opened.defer(() => closeSync(fd));
    const tail = left === Infinity ? { at: 0, left } : startOfTail(fd, left);
    parts.unshift({ fd, at: tail.at });
    left = tail.left;
  }
  for (const { fd, at } of parts) await printFrom(fd, at, source);
}

/** Where the last so many lines begin, found from the end, and how many are missing. */
function startOfTail(fd: number, lines: number): { at: number; left: number } {
  const buffer = new Uint8Array(chunkSize);
  const { size } = fstatSync(fd);
  if (lines === 0) return { at: size, left: 0 };
  let left = lines;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunkSize);
    const count = readSync(fd, buffer, 0, end - start, start);
    for (let i = count - 1; i >= 0; i--) {
      // The line end at the very end of the file ends the last line.
      if (buffer[i] === 10 && start + i !== size - 1 && --left === 0) return { at: start + i + 1, left };
    }
    end = start;
  }
  // The first line has no line end before it.
  return { at: 0, left: size === 0 ? left : left - 1 };
}
