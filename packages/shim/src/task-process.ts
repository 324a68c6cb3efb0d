/**
 * One process of a container, from its making to its end.
 *
 *   created ──start──► running ──► stopped
 *      └───────── killed ────────────▲
 */

import { Status } from "@hull/api/gen/containerd/types/task/task";
import { processStat } from "@hull/sys/process";
import type { ProcessExit } from "./children.ts";
import type { StreamNames } from "./stdio.ts";
import type { ProcessStreams } from "./streams.ts";

/** Where a process is in its life. */
export type ProcessStatus = "created" | "running" | "paused" | "stopped";

const wireStatus = {
  created: Status.CREATED,
  running: Status.RUNNING,
  paused: Status.PAUSED,
  stopped: Status.STOPPED,
} as const;

/** What a client says of a process's streams. */
export interface StreamRequest extends StreamNames {
  terminal: boolean;
}

/** The state of one process. The container switches it; requests read it. */
export class TaskProcess {
  /** Empty for the container's first process. */
  readonly execId: string;
  readonly request: StreamRequest;
  pid = 0;
  status: ProcessStatus = "created";
  streams: ProcessStreams | undefined;
  exit: ProcessExit | undefined;
  /** Settles when the kernel says that it has ended, which may be before that is announced. */
  gone: Promise<unknown> = Promise.withResolvers().promise;
  /** Its status has been taken from the kernel: its pid may be another process's by now. */
  reaped = false;
  /** While a start is on its way: the process's end is not announced before its start was. */
  starting: Promise<void> | undefined;
  readonly #ended = Promise.withResolvers<ProcessExit>();

  constructor(execId: string, request: StreamRequest) {
    this.execId = execId;
    this.request = request;
  }

  /** The end of the process. */
  get ended(): Promise<ProcessExit> {
    return this.#ended.promise;
  }

  /** True once the kernel has ended it, also before that is known otherwise. */
  get hasEnded(): boolean {
    if (this.status === "stopped" || this.reaped) return true;
    try {
      return this.pid !== 0 && /[ZX]/.test(processStat(this.pid).state);
    } catch {
      return true;
    }
  }

  /** Records the end and tells those who wait. */
  stop(exit: ProcessExit): void {
    this.status = "stopped";
    this.exit = exit;
    this.#ended.resolve(exit);
  }

  /** The status as the Task service gives it. */
  get wireStatus(): Status {
    return wireStatus[this.status];
  }
}
