/**
 * The streams of containers' first processes: their logs, and clients that attach.
 *
 *   names(io) ──► what the task is created with ──► open(io) ──► attach … reopenLog … ──drained()──► close()
 *
 * Hull's own shim writes logs and keeps clients itself, so that no line passes through the daemon and its restart loses none. For shims of
 * others the daemon does both, between FIFOs that it names; after a restart `open` finds these again, where what was written waits.
 */

import type { Context } from "@hull/engine/context";
import type { TaskManager } from "@hull/engine/runtime/index";
import { type AttachedStreams, criInput, criOutput, type StreamWishes } from "@hull/engine/runtime/task-streams";
import { closeFifos, FifoStreams, fifoNames, makeFifos } from "./fifos.ts";

/** What is to be known of a container for its streams. */
export interface StreamsOfContainer {
  readonly id: string;
  /** Absolute; empty for no log. */
  readonly logPath: string;
  /** Bytes after which a line of the log is divided; 0 or less: never. */
  readonly maxLine: number;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  /** Hull's own shim keeps it. */
  readonly own: boolean;
  /** A directory of the container's own, for FIFOs; gone after a boot. Only looked at where the shim is another's. */
  readonly directory: string;
}

/** As `CreateTask` takes them. */
export interface StreamNames {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

/** The streams of one container while its task is there. */
export interface ContainerStreams {
  /** Has the log file opened anew, which was renamed. @throws the system's error */
  reopenLog(): Promise<void>;
  /** As `TaskStreams.attach`. */
  attach(wishes: StreamWishes, options?: { signal?: AbortSignal }): Promise<AttachedStreams>;
  /** Resolves when all output of a process that has ended is in the log, or ten seconds later. */
  drained(): Promise<void>;
  /** Lets go of everything; the container's task is deleted. */
  close(): void;
}

/** The names that a container's task is to be created with. FIFOs are made if they aren't there. */
export function streamNames(container: StreamsOfContainer): StreamNames {
  const { logPath, maxLine, stdin, stdinOnce: once, tty: terminal, own } = container;
  if (!own) {
    makeFifos(container);
    return { ...fifoNames(container), terminal };
  }
  const stdout = criOutput(logPath, maxLine);
  return {
    stdin: stdin ? criInput({ once: once && !terminal }) : "",
    stdout,
    stderr: terminal ? "" : stdout,
    terminal,
  };
}

/**
 * Opens the streams: for a shim of others' before its task is created, which waits for readers, and again after a restart of the daemon.
 *
 * @throws the system's error if the log can't be opened. With hull's own shim the task's creation throws it.
 */
export function openStreams(
  container: StreamsOfContainer,
  { ctx, tasks }: { ctx: Context; tasks: TaskManager },
): ContainerStreams {
  const { id } = container;
  if (!container.own) return new FifoStreams(container, () => tasks.closeIo(ctx, id, "", true));
  return {
    reopenLog: async () => (await tasks.streams(ctx, id)).reopenLog(),
    attach: async (wishes, options) => (await tasks.streams(ctx, id)).attach(wishes, options),
    // It is when the exit is told.
    drained: () => Promise.resolve(),
    close() {},
  };
}

export { closeFifos };
