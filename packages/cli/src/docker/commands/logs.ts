import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { getProcess } from "@hull/client/tasks";
import { canceled, invalidArgument, isCode, notFound } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Inotify, inotifyEvents } from "@hull/sys/inotify";
import type { Host } from "../../command/index.ts";
import { findContainer, nameOf, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { logFileOf } from "../logs.ts";
import { interrupted } from "../pull.ts";
import { openSession } from "../session.ts";

const chunkSize = 64 * 1024;

/** `hull logs` */
export async function logs(call: Call<{ follow: boolean; tail: string }>): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 1, 1, "a container is");
  const tail = parseTail(flags.tail);
  await using client = await openSession(call);
  const container = await findContainer(client, args[0] ?? "");
  const file = logFileOf(container);
  using log = openLog(container, file);
  let at = tail === undefined ? 0 : startOfTail(log.fd, tail);
  if (!flags.follow || file === undefined) {
    await printFrom(log.fd, at, host);
    return 0;
  }
  // Watched before the first look, so that nothing is written unseen in between.
  using changes = new Inotify();
  changes.add(file, inotifyEvents.modified);
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort(canceled("interrupted"));
  process.once("SIGINT", onInterrupt);
  const ended = endOf(client, container).finally(() => stop.abort(canceled("the container has ended")));
  ended.catch(() => {});
  at = await printFrom(log.fd, at, host);
  try {
    for await (const _ of changes.changes({ signal: stop.signal })) at = await printFrom(log.fd, at, host);
  } catch (error) {
    if (!isCode(error, "canceled")) throw error;
  } finally {
    process.off("SIGINT", onInterrupt);
  }
  if (stop.signal.reason instanceof Error && stop.signal.reason.message === "interrupted") return interrupted;
  await printFrom(log.fd, at, host);
  await ended;
  return 0;
}

/** Undefined for "all". */
function parseTail(text: string): number | undefined {
  if (text === "all" || text === "-1") return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw invalidArgument(`--tail takes a number of lines or "all", not "${text}"`);
}

function openLog(container: Container, file: string | undefined): Disposable & { readonly fd: number } {
  try {
    if (file !== undefined) {
      const fd = openSync(file, "r");
      return { fd, [Symbol.dispose]: () => closeSync(fd) };
    }
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
  throw notFound(
    `container "${nameOf(container)}" has no log: its output went to the terminal that ran it; run it with -d to keep one`,
  );
}

/** Resolves when the container has ended, or is gone. */
async function endOf(client: Client, { id }: Container): Promise<void> {
  try {
    await (await getProcess(client, id)).wait();
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}

/** Prints all from an offset on; gives the offset behind it. */
async function printFrom(fd: number, from: number, host: Host): Promise<number> {
  const buffer = new Uint8Array(chunkSize);
  // A log that was truncated begins anew.
  let at = fstatSync(fd).size < from ? 0 : from;
  for (;;) {
    const count = readSync(fd, buffer, 0, buffer.length, at);
    if (count === 0) return at;
    await host.out(buffer.slice(0, count));
    at += count;
  }
}

/** Where the last so many lines begin, found from the end. */
function startOfTail(fd: number, lines: number): number {
  const buffer = new Uint8Array(chunkSize);
  const { size } = fstatSync(fd);
  if (lines === 0) return size;
  let left = lines;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunkSize);
    const count = readSync(fd, buffer, 0, end - start, start);
    for (let i = count - 1; i >= 0; i--) {
      // The line end at the very end of the file ends the last line.
      if (buffer[i] === 10 && start + i !== size - 1 && --left === 0) return start + i + 1;
    }
    end = start;
  }
  return 0;
}
