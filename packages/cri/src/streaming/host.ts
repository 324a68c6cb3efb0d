/** What clients of the streaming server ask for, done with the engine's tasks and the pods' networks. */

import type { AttachRequest, ExecRequest } from "@hull/api/gen/cri/v1/cri";
import { contextFor } from "@hull/engine/context";
import { HullError, unknown } from "@hull/errors";
import { criNamespace, type PodContainer } from "../model.ts";
import type { PodContainerStore, PodStore } from "../stores/index.ts";
import { wrapped } from "../wrap.ts";
import { copyOut } from "./copy.ts";
import { type Drain, type ExecOptions, follow, runCommand } from "./exec.ts";
import type { CommandStreams, DuplexStream, StreamingHost } from "./index.ts";
import { connectToPod } from "./pod-connection.ts";
import type { Output } from "./streams.ts";

/** What the host needs besides what commands do. */
export interface HostOptions extends ExecOptions {
  readonly containers: Pick<PodContainerStore, "get">;
  readonly pods: Pick<PodStore, "get">;
  /** Connects streams to a container's first process. Resolves when that has ended, or the client has. `id` is whole. */
  attach(id: string, streams: AttachStreams, lost: AbortSignal): Promise<void>;
}

/** What of a client's streams goes to a container's first process; sizes are seen to here. */
export type AttachStreams = Pick<CommandStreams, "stdin" | "stdout" | "stderr">;

const stateNames = {
  creating: "CONTAINER_UNKNOWN",
  created: "CONTAINER_CREATED",
  running: "CONTAINER_RUNNING",
  exited: "CONTAINER_EXITED",
  unknown: "CONTAINER_UNKNOWN",
} as const;

/** @throws Unknown if the container isn't running */
export function requireRunning({ status: { state } }: PodContainer): void {
  if (state !== "running") throw unknown(`container is in ${stateNames[state]} state`);
}

/** See `StreamingHost`. */
export class TaskStreamingHost implements StreamingHost {
  readonly #options: HostOptions;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  async exec(request: ExecRequest, streams: CommandStreams, lost: AbortSignal): Promise<number> {
    try {
      const container = this.#find(request.containerId);
      return await runCommand(this.#options, {
        ...{ containerId: container.id, args: request.cmd, tty: request.tty },
        ...{ stdin: streams.stdin, resize: streams.resize },
        stdout: drainTo(streams.stdout, lost),
        stderr: drainTo(streams.stderr, lost),
      });
    } catch (error) {
      throw wrapped("failed to exec in container", error);
    }
  }

  async attach(request: AttachRequest, streams: CommandStreams, lost: AbortSignal): Promise<void> {
    const { id } = this.#find(request.containerId);
    const { stdin, stdout, stderr, resize } = streams;
    const ctx = contextFor(criNamespace);
    const { tasks } = this.#options;
    if (resize !== undefined) void follow(resize, (size) => tasks.resizePty(ctx, id, "", size.width, size.height));
    await this.#options.attach(id, { stdin, stdout, stderr }, lost);
    stdout?.end();
    stderr?.end();
  }

  #find(id: string): PodContainer {
    const container = this.#options.containers.get(id);
    requireRunning(container);
    return container;
  }

  async portForward(podId: string, port: number, stream: DuplexStream, lost: AbortSignal): Promise<void> {
    const pod = this.#options.pods.get(podId);
    await connectToPod({ id: pod.id, namespace: pod.namespaces.net }, port, stream, lost);
  }
}

/** Gives an output to a client. When that goes the output is left alone: the process waits as it does for any reader. */
function drainTo(output: Output | undefined, lost: AbortSignal): Drain | undefined {
  if (output === undefined) return undefined;
  return async (fd, signal) => {
    try {
      await copyOut(fd, output, AbortSignal.any([signal, lost]));
    } catch (error) {
      if (HullError.from(error).code !== "canceled") throw error;
    }
  };
}
