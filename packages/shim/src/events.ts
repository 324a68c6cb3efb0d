/** What a container tells the daemon, as containerd's task events. Order: created, started, exited, deleted; an exec's between. */

import {
  TaskCreate,
  TaskDelete,
  TaskExecAdded,
  TaskExecStarted,
  TaskExit,
  TaskOOM,
  TaskPaused,
  TaskResumed,
  TaskStart,
} from "@hull/api/gen/containerd/events/task";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import { timestampOfNanos } from "@hull/api/timestamp";
import type { ProcessExit } from "./children.ts";
import type { StreamRequest } from "./task-process.ts";

/** Takes events; see `Publisher`. */
export interface EventSink {
  publish(topic: string, typeUrl: string, value: Uint8Array): void;
  /** Resolves when everything has arrived, or so many milliseconds have passed. */
  flush(milliseconds: number): Promise<void>;
}

/** How long an end waits for news before it to arrive. */
const patienceMs = 500;

/** Makes the events. */
export class TaskEvents {
  readonly #sink: EventSink;

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  /** Resolves when what was told has arrived, or won't soon. */
  delivered(): Promise<void> {
    return this.#sink.flush(patienceMs);
  }

  created(
    request: StreamRequest & { id: string; bundle: string; rootfs: readonly Mount[]; checkpoint: string },
    pid: number,
  ): void {
    const { id, bundle, rootfs, stdin, stdout, stderr, terminal, checkpoint } = request;
    const io = { stdin, stdout, stderr, terminal };
    const event = { containerId: id, bundle, rootfs: [...rootfs], io, checkpoint, pid };
    this.#sink.publish("/tasks/create", "containerd.events.TaskCreate", TaskCreate.encode(event).finish());
  }

  started(containerId: string, pid: number): void {
    const event = TaskStart.encode({ containerId, pid }).finish();
    this.#sink.publish("/tasks/start", "containerd.events.TaskStart", event);
  }

  execAdded(containerId: string, execId: string): void {
    const event = TaskExecAdded.encode({ containerId, execId }).finish();
    this.#sink.publish("/tasks/exec-added", "containerd.events.TaskExecAdded", event);
  }

  execStarted(containerId: string, execId: string, pid: number): void {
    const event = TaskExecStarted.encode({ containerId, execId, pid }).finish();
    this.#sink.publish("/tasks/exec-started", "containerd.events.TaskExecStarted", event);
  }

  /** @param execId empty for the first process, which goes by the container's id */
  exited(containerId: string, execId: string, pid: number, { status, at }: ProcessExit): void {
    const id = execId === "" ? containerId : execId;
    const event = { containerId, id, pid, exitStatus: status, exitedAt: timestampOfNanos(at) };
    this.#sink.publish("/tasks/exit", "containerd.events.TaskExit", TaskExit.encode(event).finish());
  }

  deleted(containerId: string, pid: number, exit: ProcessExit | undefined): void {
    const exitedAt = timestampOfNanos(exit?.at);
    const event = { containerId, pid, exitStatus: exit?.status ?? 0, exitedAt, id: "" };
    this.#sink.publish("/tasks/delete", "containerd.events.TaskDelete", TaskDelete.encode(event).finish());
  }

  outOfMemory(containerId: string): void {
    this.#sink.publish("/tasks/oom", "containerd.events.TaskOOM", TaskOOM.encode({ containerId }).finish());
  }

  paused(containerId: string): void {
    this.#sink.publish("/tasks/paused", "containerd.events.TaskPaused", TaskPaused.encode({ containerId }).finish());
  }

  resumed(containerId: string): void {
    const event = TaskResumed.encode({ containerId }).finish();
    this.#sink.publish("/tasks/resumed", "containerd.events.TaskResumed", event);
  }
}
