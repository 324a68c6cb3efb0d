import { mkdirSync, openSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { defaults } from "@hull/daemon/config/catalogue";
import { errorPrefix, readyLine, readyVariable } from "@hull/daemon/readiness";
import { selfCommand } from "@hull/engine/self";
import { failedPrecondition, unavailable } from "@hull/errors";
import { Descriptor, pipe } from "@hull/sys/fd";
import { Inotify, inotifyEvents } from "@hull/sys/inotify";
import { readStream } from "@hull/sys/stream";
import type { Place } from "./globals.ts";

/** What a started daemon is to be told of. */
export interface StartedDaemon {
  readonly pid: number;
  readonly log: string;
}

/** How long another daemon that is just starting may take until it serves, ms. */
const othersStart = 10_000;

/** Where a daemon that was started by itself logs. */
export function logOf({ state }: Pick<Place, "state">): string {
  return state === defaults.state ? "/var/log/hull.log" : join(state, "daemon.log");
}

/**
 * Starts a daemon that outlives this process, in a session of its own, and waits until it serves. Gives undefined if another one,
 * which was starting at the same time, serves instead.
 * @throws Unavailable with the daemon's own words if it doesn't start
 */
export async function startDaemon(place: Place): Promise<StartedDaemon | undefined> {
  const log = logOf(place);
  mkdirSync(dirname(log), { recursive: true, mode: 0o711 });
  mkdirSync(dirname(place.address), { recursive: true, mode: 0o711 });
  // Watched before the start, so that no appearance is missed.
  using socket = new Inotify();
  socket.add(dirname(place.address), inotifyEvents.movedTo | inotifyEvents.created);
  const { pid, answer } = await launch(place, log);
  if (answer === readyLine) return { pid, log };
  if (!answer.startsWith(errorPrefix))
    throw unavailable(`the daemon ended while it started: ${lastLine(log)} (its log is "${log}")`);
  const reason = answer.slice(errorPrefix.length);
  if (!/ is in use by | is serving /.test(reason)) throw unavailable(`the daemon can't be started: ${reason}`);
  // It may have come to serve before the watch began.
  if (!(await answers(place.address))) await appearance(socket, place, reason);
  return undefined;
}

async function answers(address: string): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix: address, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

async function launch(place: Place, log: string): Promise<{ pid: number; answer: string }> {
  const ends = pipe({ nonBlocking: true });
  using reader = new Descriptor(ends.read);
  using writer = new Descriptor(ends.write);
  using logFile = new Descriptor(openSync(log, "a", 0o640));
  const { address, root, state } = place;
  const child = Bun.spawn([...selfCommand("daemon"), "--address", address, "--root", root, "--state", state], {
    cwd: "/",
    env: { ...process.env, [readyVariable]: "3" },
    stdio: ["ignore", logFile.fd, logFile.fd, writer.fd],
    detached: true,
  });
  child.unref();
  // Ours has to be closed for the end to be seen if the daemon dies.
  writer[Symbol.dispose]();
  let answer = "";
  const decoder = new TextDecoder();
  for await (const chunk of readStream(reader.fd)) {
    answer += decoder.decode(chunk, { stream: true });
    if (answer.endsWith("\n")) break;
  }
  return { pid: child.pid, answer: answer.trim() };
}

async function appearance(socket: Inotify, { address }: Place, reason: string): Promise<void> {
  try {
    for await (const { name } of socket.changes({ signal: AbortSignal.timeout(othersStart) }))
      if (name === basename(address)) return;
  } catch (cause) {
    throw failedPrecondition(`the daemon can't be started: ${reason}; that one doesn't serve "${address}"`, { cause });
  }
}

function lastLine(log: string): string {
  return readFileSync(log, "utf8").trim().split("\n").at(-1) ?? "";
}
