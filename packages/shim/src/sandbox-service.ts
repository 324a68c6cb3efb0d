/**
 * The sandbox of a shim: the pod whose containers it keeps.
 *
 *   create ──► created ──start──► ready ──stop──► stopped ──shutdown──► (gone, and the process with it)
 *
 * No process of its own stands for it: it is as alive as the shim, whose pid it has. What its containers share (namespaces, cgroup
 * parent) their specs say. Stopping it ends its containers.
 *
 * Protocol: containerd's `api/runtime/sandbox/v1/sandbox.proto`.
 */

import { SandboxDefinition } from "@hull/api/gen/containerd/runtime/sandbox/v1/sandbox";
import { type BoundMethod, bindService } from "@hull/api/handler";
import type { ServiceImplementation } from "@hull/api/rpc";
import { nowNanos, timestampOfNanos } from "@hull/api/timestamp";
import { alreadyExists, failedPrecondition, isCode, notFound, unimplemented } from "@hull/errors";
import { hostPlatform } from "@hull/oci/platform";
import type { Container } from "./container.ts";

/** What the service needs of the process that it runs in. */
export interface SandboxHost {
  /** The containers that the process keeps. */
  readonly containers: ReadonlyMap<string, Container>;
  /** Told when there is a sandbox, for which the process has to stay, and when there is none any more: then it is to end. */
  keepsSandbox(now: boolean): void;
}

interface Sandbox {
  readonly id: string;
  readonly bundle: string;
  readonly netnsPath: string;
  state: "created" | "ready" | "stopped";
  createdAt: bigint | undefined;
  exitedAt: bigint | undefined;
  readonly ended: PromiseWithResolvers<void>;
}

const SIGTERM = 15;
const SIGKILL = 9;

/** The service's methods, for one process. */
export function boundSandboxService(host: SandboxHost): ReadonlyMap<string, BoundMethod> {
  return bindService(SandboxDefinition, sandboxService(host));
}

/** The handlers. */
export function sandboxService(host: SandboxHost): ServiceImplementation<typeof SandboxDefinition> {
  let sandbox: Sandbox | undefined;
  const find = (id: string): Sandbox => {
    if (sandbox?.id !== id) throw notFound(`sandbox "${id}"`);
    return sandbox;
  };
  const stop = async (stopped: Sandbox, graceMs: number): Promise<void> => {
    await endContainers(host.containers, graceMs);
    if (stopped.state === "stopped") return;
    stopped.state = "stopped";
    stopped.exitedAt = nowNanos();
    stopped.ended.resolve();
  };
  return {
    async createSandbox({ sandboxId, bundlePath, netnsPath, rootfs }) {
      if (sandbox !== undefined) throw alreadyExists(`sandbox "${sandbox.id}" in this shim`);
      if (rootfs.length > 0) {
        throw unimplemented(`sandbox "${sandboxId}" with a root file system: hull's own shim mounts none for it`);
      }
      const ended = Promise.withResolvers<void>();
      const times = { createdAt: undefined, exitedAt: undefined };
      sandbox = { id: sandboxId, bundle: bundlePath, netnsPath, state: "created", ...times, ended };
      host.keepsSandbox(true);
      return {};
    },
    async startSandbox({ sandboxId }) {
      const started = find(sandboxId);
      if (started.state !== "created") {
        throw failedPrecondition(`sandbox "${sandboxId}" can't be started: it is ${started.state}`);
      }
      started.state = "ready";
      started.createdAt = nowNanos();
      return { pid: process.pid, createdAt: timestampOfNanos(started.createdAt) };
    },
    async platform({ sandboxId }) {
      find(sandboxId);
      return { platform: hostPlatform() };
    },
    async stopSandbox({ sandboxId, timeoutSecs }) {
      await stop(find(sandboxId), timeoutSecs * 1000);
      return {};
    },
    async waitSandbox({ sandboxId }) {
      const waited = find(sandboxId);
      await waited.ended.promise;
      return { exitStatus: 0, exitedAt: timestampOfNanos(waited.exitedAt) };
    },
    async sandboxStatus({ sandboxId, verbose }) {
      const { bundle, netnsPath, state, createdAt, exitedAt } = find(sandboxId);
      const ready = state === "ready";
      return {
        sandboxId,
        pid: ready ? process.pid : 0,
        state: ready ? "SANDBOX_READY" : "SANDBOX_NOTREADY",
        info: verbose ? { bundle, netns: netnsPath, containers: [...host.containers.keys()].join(",") } : {},
        createdAt: timestampOfNanos(createdAt),
        exitedAt: timestampOfNanos(exitedAt),
      };
    },
    async pingSandbox({ sandboxId }) {
      find(sandboxId);
      return {};
    },
    async shutdownSandbox({ sandboxId }) {
      await stop(find(sandboxId), 0);
      sandbox = undefined;
      host.keepsSandbox(false);
      return {};
    },
    async sandboxMetrics({ sandboxId }) {
      find(sandboxId);
      throw unimplemented(
        `metrics of sandbox "${sandboxId}": it has no cgroup of its own, ask for those of its containers`,
      );
    },
  };
}

/** Ends all containers: kindly, where there is time for it. Resolves when all have ended. */
async function endContainers(containers: ReadonlyMap<string, Container>, graceMs: number): Promise<void> {
  const running = [...containers.values()].filter(({ init }) => init.status !== "stopped");
  if (running.length === 0) return;
  const ended = Promise.all(running.map(({ init }) => init.ended));
  if (graceMs > 0) {
    const started = running.filter(({ init }) => init.status === "running");
    await Promise.all(started.map((container) => signal(container, SIGTERM)));
    // One that was only created has nothing in it that would hear a signal.
    if (started.length === running.length && (await within(graceMs, ended))) return;
  }
  await Promise.all(running.map((container) => signal(container, SIGKILL)));
  await ended;
}

async function signal(container: Container, number: number): Promise<void> {
  try {
    await container.kill("", number, number === SIGKILL);
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}

/** True if the work is done in time. */
async function within(milliseconds: number, work: Promise<unknown>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, milliseconds, false);
  const done = await Promise.race([work.then(() => true), promise]);
  clearTimeout(timer);
  return done;
}
