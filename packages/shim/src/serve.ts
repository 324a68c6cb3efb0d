/** The serving process of a shim: independent of whoever started it, listening on a socket until it is told to shut down. */

import { rmSync } from "node:fs";
import { TaskDefinition } from "@hull/api/gen/containerd/task/v3/task";
import { close, duplicateTo, open, openFlags } from "@hull/sys/fd";
import { oomScoreAdjust, setOomScoreAdjust, setProcessName } from "@hull/sys/process";
import { isTraced } from "@hull/trace/environment";
import { TtrpcServer } from "@hull/ttrpc/server";
import { Children } from "./children.ts";
import type { Container } from "./container.ts";
import { TaskEvents } from "./events.ts";
import { restWhenIdle } from "./idle.ts";
import { registerLazily, type ServiceNames } from "./lazy-service.ts";
import { Publisher } from "./publisher.ts";
import type { SandboxHost } from "./sandbox-service.ts";
import { taskDefinitionV2, taskService } from "./service.ts";

const sandboxNames: ServiceNames = {
  service: "containerd.runtime.sandbox.v1.Sandbox",
  unary: [
    "CreateSandbox",
    "StartSandbox",
    "Platform",
    "StopSandbox",
    "WaitSandbox",
    "SandboxStatus",
    "PingSandbox",
    "ShutdownSandbox",
    "SandboxMetrics",
  ],
};

const streamsNames: ServiceNames = { service: "hull.shim.v1.Streams", unary: ["ReopenLog"], streaming: ["Attach"] };

/** Whom a shim works for. */
export interface Identity {
  namespace: string;
  /** Socket of the daemon's ttrpc server, for events; empty for none. */
  eventsAddress: string;
}

/** How long a shim that was told to end tries to deliver its last events. */
const flushMs = 5000;

/** A shim that serves. */
export interface Serving {
  /**
   * The daemon that started it has gone. Another finds it by the containers that it keeps, and tells it when it is done: without any, and
   * without anybody who is connected, it ends, for nobody would ever tell it to.
   */
  orphan(): void;
}

/**
 * Listens and serves; the process ends when a client calls Shutdown and neither container nor sandbox is left, or by SIGTERM.
 *
 * @param identity whom the shim works for now; a spare's requests wait for it
 */
export async function serve(socket: string, identity: () => Promise<Identity>): Promise<Serving> {
  becomeIndependent();
  let idle = true;
  let keepsSandbox = false;
  /** It ends with the last thing that it keeps, */
  let leaving = false;
  /** or with that, if nobody is there to tell it to. */
  let orphaned = false;
  let current: { identity: Identity; publisher: Publisher; events: TaskEvents } | undefined;
  const tracing = isTraced(process.env) ? await startTracing() : undefined;
  const exit = async (): Promise<void> => {
    rmSync(socket, { force: true });
    await Promise.all([current?.publisher.flush(flushMs), tracing?.[Symbol.asyncDispose]()]);
    process.exit(0);
  };
  const isDone = (): boolean => idle && !keepsSandbox && (leaving || (orphaned && server.connections === 0));
  const leaveIfDone = (): void => {
    // A turn later, when the answer has been written; unless somebody has come by then.
    if (isDone()) setImmediate(() => void (isDone() && exit()));
  };
  const server = new TtrpcServer({ onAlone: leaveIfDone, onAnswer: restWhenIdle });
  const containers = new Map<string, Container>();
  const service = taskService({
    children: new Children(),
    containers,
    async identity() {
      const known = await identity();
      if (current?.identity !== known) {
        const { namespace, eventsAddress } = known;
        const before = current?.publisher;
        const publisher = before?.address === eventsAddress ? before : new Publisher(eventsAddress);
        if (publisher !== before) void before?.close();
        const events = new TaskEvents({
          publish: (...event) => publisher.publish(namespace, ...event),
          flush: (milliseconds) => publisher.flush(milliseconds),
        });
        current = { identity: known, publisher, events };
      }
      return { namespace: known.namespace, events: current.events };
    },
    reconnected: () => current?.publisher.retry(),
    exit() {
      if (!keepsSandbox) setImmediate(exit);
    },
    occupied(now) {
      idle = !now;
      leaveIfDone();
    },
  });
  const sandboxHost: SandboxHost = {
    containers,
    keepsSandbox(now) {
      keepsSandbox = now;
      leaving ||= !now;
      leaveIfDone();
    },
  };
  process.on("SIGTERM", () => void exit());
  server.register(TaskDefinition, service).register<typeof taskDefinitionV2>(taskDefinitionV2, service);
  registerLazily(server, sandboxNames, async () => {
    const { boundSandboxService } = await import("./sandbox-service.ts");
    return boundSandboxService(sandboxHost);
  });
  registerLazily(server, streamsNames, async () => {
    const { boundStreamsService } = await import("./cri/service.ts");
    return boundStreamsService(containers);
  });
  await listenPrivately(server, socket);
  // What loading has left would lie between what comes, and keep it in memory.
  Bun.shrink();
  return {
    orphan() {
      orphaned = true;
      leaveIfDone();
    },
  };
}

/** Records spans for the collector that the environment names. Nobody reads what a shim says: one that can't be reached has none. */
async function startTracing(): Promise<AsyncDisposable | undefined> {
  const { startTracing } = await import("@hull/trace/start");
  try {
    return startTracing(process.env, "hull-shim", () => {});
  } catch {
    // Variables that can't be followed stop the daemon's tracing with a message.
    return undefined;
  }
}

/** The socket's mode is 0600 from its first moment: whoever may connect can run processes as root. */
async function listenPrivately(server: TtrpcServer, path: string): Promise<void> {
  const mask = process.umask(0o177);
  try {
    await server.listen({ path });
  } finally {
    process.umask(mask);
  }
}

/** Signals meant for the starter's terminal don't reach here; the kernel would rather kill this process than the daemon. */
function becomeIndependent(): void {
  for (const signal of ["SIGINT", "SIGHUP", "SIGPIPE"] as const) process.on(signal, () => {});
  setProcessName("hull-shim");
  // Meant for this process, not for those that it starts.
  for (const name of Object.keys(process.env)) if (/^(BUN|MIMALLOC)_/.test(name)) delete process.env[name];
  try {
    setOomScoreAdjust("self", Math.min(1000, oomScoreAdjust("self") + 1));
  } catch {
    // Some sandboxes forbid it; the shim works all the same.
  }
}

/** Lets go of the descriptors that were inherited, so that nobody waits for their end. */
export function detachStdio(...descriptors: (0 | 1 | 2)[]): void {
  const nowhere = open("/dev/null", openFlags.readWrite);
  for (const fd of descriptors) duplicateTo(nowhere, fd, { inheritable: true });
  close(nowhere);
}
