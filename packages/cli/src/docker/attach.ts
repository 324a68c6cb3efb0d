import { constants } from "node:os";
import { isatty } from "node:tty";
import { makeFifos, removeFifos } from "@hull/client/io/fifos";
import { Pump, readShared, type Sink } from "@hull/client/io/pump";
import { forwardSignals } from "@hull/client/io/signals";
import { enterRawMode, watchSize } from "@hull/client/io/terminal";
import type { Process, ProcessIo } from "@hull/client/tasks";
import { failedPrecondition } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { write } from "@hull/sys/fd";
import { ready } from "@hull/sys/watch";

/** What of this program's streams a process gets. */
export interface AttachOptions {
  /** Its terminal is this one. */
  readonly terminal: boolean;
  /** Its stdin is ours. */
  readonly stdin: boolean;
  /** Directory for the FIFOs. */
  readonly directory: string;
}

/** Stdio of a process that is connected to this program's. @throws FailedPrecondition for a terminal that we haven't */
export function attachedIo(id: string, { terminal, stdin, directory }: AttachOptions): ProcessIo {
  if (terminal && stdin && !isatty(0))
    throw failedPrecondition("the input is not a terminal: leave -t out, or run this in one");
  const made = makeFifos(id, { terminal, directory });
  // Without -i the process finds nothing at all on its stdin, not an input that never comes.
  if (!stdin) removeFifos({ stdin: made.stdin, stdout: "", stderr: "" });
  const paths = stdin ? made : { ...made, stdin: "" };
  try {
    const streams = {
      ...(stdin ? { stdin: readShared(0, { keepAlive: false }) } : {}),
      stdout: sinkOf(1),
      stderr: sinkOf(2),
    };
    return { paths, pump: new Pump(paths, streams) };
  } catch (error) {
    removeFifos(paths);
    throw error;
  }
}

/**
 * Starts a process that is connected to this program and stays with it until it ends: keys, size and signals go to it. Gives its exit
 * status, when all of its output has been written.
 */
export async function runAttached(process: Process, { terminal, stdin }: AttachOptions): Promise<number> {
  using ends = new DisposableStack();
  const waiting = process.wait();
  // If the start fails its reason is the better one.
  waiting.catch(() => {});
  if (!terminal) ends.use(forwardSignals(patiently(process)));
  const screen = terminal ? [1, 0, 2].find((fd) => isatty(fd)) : undefined;
  const followSize = (): void => {
    if (screen !== undefined) ends.use(watchSize(screen, ({ columns, rows }) => process.resize(columns, rows)));
  };
  // A container's first process has its terminal already, and should find it in its size. An exec has none before its start.
  if (process.execId === "") followSize();
  await process.start();
  // Raw only now: a start that fails should find the terminal as it was.
  if (terminal && stdin) ends.use(enterRawMode(0));
  if (process.execId !== "") followSize();
  const { status } = await waiting;
  await process.io.pump?.drained();
  return status;
}

/**
 * Passes signals on. A first process without a handler ignores those that ask it to end, as the kernel has it for pid 1: who asks a
 * third time has the container killed.
 */
function patiently(process: Process): (signal: number) => Promise<void> {
  let asked = 0;
  return async (signal) => {
    if (signal === constants.signals.SIGINT || signal === constants.signals.SIGTERM) asked++;
    if (asked >= 3) await process.kill(constants.signals.SIGKILL, { all: process.execId === "" });
    else await process.kill(signal);
  };
}

/** Closes the streams of a process that has ended and stays. */
export function letGo({ pump, paths }: ProcessIo): void {
  pump?.[Symbol.dispose]();
  removeFifos(paths);
}

/** Writes to a descriptor that others share, as it is: blocking or not. When its reader has gone, the rest is dropped. */
function sinkOf(fd: number): Sink {
  let open = true;
  return async (chunk) => {
    let rest = chunk;
    while (open && rest.length > 0) {
      try {
        const count = write(fd, rest);
        if (count === undefined) await ready(fd, "write");
        else rest = rest.subarray(count);
      } catch (error) {
        if (!isErrno(error, "EPIPE")) throw error;
        open = false;
      }
    }
  };
}
