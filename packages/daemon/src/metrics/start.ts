import type { Engine } from "@hull/engine/index";
import type { Logger } from "@hull/engine/log";
import type { Interceptor } from "../server/intercept.ts";
import { revision, version } from "../version.ts";
import { CallMetrics } from "./calls.ts";
import { CollectionMetrics } from "./collections.ts";
import { buildMetrics, processMetrics } from "./process.ts";
import { PullMetrics } from "./pulls.ts";
import { serveMetrics } from "./server.ts";
import { TaskMetrics } from "./tasks.ts";

export interface MetricsOptions {
  /** `host:port` */
  readonly address: string;
  readonly histogram: boolean;
  /** Whether each task's cgroup is shown. */
  readonly tasks: boolean;
  /** How long one shim may take to answer, ms. */
  readonly shimTimeoutMs: number;
  readonly log: Logger;
}

/** What a daemon with metrics has running. */
export interface RunningMetrics extends Disposable {
  /** Counts the calls of the services that it is put around. */
  readonly interceptor: Interceptor;
  readonly port: number;
  /** Serves at another address; at the old one still if that fails. @throws what `serveMetrics` throws */
  move(address: string): void;
}

/** Serves the metrics of a daemon. @throws what `serveMetrics` throws */
export function startMetrics(
  engine: Engine,
  { address, histogram, tasks, shimTimeoutMs, log }: MetricsOptions,
): RunningMetrics {
  const calls = new CallMetrics({ histogram });
  const own = [calls, new CollectionMetrics(engine.gc), new PullMetrics(engine.events)];
  const sources = [buildMetrics(version, revision), processMetrics, ...own];
  const taskMetrics = (): TaskMetrics =>
    new TaskMetrics({
      tasks: engine.tasks,
      containers: engine.containers,
      namespaces: engine.namespaces,
      timeoutMs: shimTimeoutMs,
      log,
    });
  const all = tasks ? [...sources, taskMetrics()] : sources;
  let server = serveMetrics(address, all, log);
  return {
    interceptor: calls.interceptor,
    get port() {
      return server.port;
    },
    move(to) {
      const next = serveMetrics(to, all, log);
      server[Symbol.dispose]();
      server = next;
      log.log("info", "serving... (metrics)", { address: to, port: server.port });
    },
    [Symbol.dispose]: () => server[Symbol.dispose](),
  };
}
