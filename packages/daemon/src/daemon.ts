import { resolve } from "node:path";
import { type Engine, enginePlugins, openEngine } from "@hull/engine";
import { parseStreamProcessors } from "@hull/engine/diff/processors";
import { type Logger, silent } from "@hull/engine/log";
import { requireNoOpenMigration } from "@hull/engine/migrate/journal";
import type { ReloadReport } from "@hull/engine/plugin/graph";
import { pluginTypes } from "@hull/engine/plugin/types";
import { restWhenIdle } from "@hull/engine/rest";
import { deprecatedSettings } from "@hull/engine/warnings/catalogue";
import type { Warnings } from "@hull/engine/warnings/index";
import { failedPrecondition, HullError } from "@hull/errors";
import { cgroupAt, createCgroup, joinCgroup } from "@hull/sys/cgroup";
import { setOomScoreAdjust } from "@hull/sys/process";
import { changedTables, type DaemonConfig } from "./config/load.ts";
import { listenGrpc } from "./listen.ts";
import { lockRoot } from "./lock.ts";
import type { LevelLogger } from "./log.ts";
import { type TaskMonitor, taskMonitorType } from "./metrics/plugin.ts";
import type { RunningMetrics } from "./metrics/start.ts";
import { servicePlugins } from "./plugins.ts";
import { proxyPlugins } from "./proxies/index.ts";
import { reloadInto } from "./reload.ts";
import { ActivatedSockets } from "./server/activation.ts";
import type { Interceptor } from "./server/intercept.ts";
import { type Service, type ServiceGroup, servicesOf } from "./server/service.ts";
import { serveTtrpc } from "./server/ttrpc.ts";

/** All plugins that a daemon has: what a configuration may name. */
export const daemonPlugins = [...enginePlugins, ...servicePlugins];

/** Clients try again after a second or two; containerd's shims tell what happened while it was away for so long. */
const returningMs = 15_000;

const silentLevel: LevelLogger = { ...silent, level: "panic" };

export interface Daemon extends AsyncDisposable {
  readonly engine: Engine;
  readonly services: readonly Service[];
  readonly address: string;
  readonly ttrpcAddress: string;
  /** Puts what can change of a new configuration into force. @throws what `reloadInto` throws */
  reload(config: DaemonConfig): ReloadReport;
  /** Stops serving, ends running calls, stops the plugins. Containers go on. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon in this process: ready to serve when this resolves.
 * @throws FailedPrecondition if another daemon has the root or the socket; InvalidArgument for plugins that can't be started
 */
export async function startDaemon(
  config: DaemonConfig,
  log: LevelLogger = silentLevel,
  activated: ActivatedSockets = new ActivatedSockets(new Map(), []),
): Promise<Daemon> {
  await using starting = new AsyncDisposableStack();
  const root = resolve(config.root);
  const address = resolve(config.grpc.address);
  const ttrpcAddress = config.ttrpc.address === "" ? `${address}.ttrpc` : resolve(config.ttrpc.address);
  starting.use(lockRoot(root));
  requireNoOpenMigration(root);
  adjustOomScore(config.oom_score, log);
  if (config.cgroup.path !== "") enterCgroup(config.cgroup.path);
  const engine = starting.use(
    await openEngine({
      root,
      state: resolve(config.state),
      plugins: [...servicePlugins, ...proxyPlugins(config.proxy_plugins)],
      config: config.plugins,
      disabled: config.disabled_plugins,
      required: config.required_plugins,
      properties: {
        grpcAddress: address,
        ttrpcAddress,
        timeouts: config.timeouts,
        streamProcessors: parseStreamProcessors(config.stream_processors),
      },
      log,
    }),
  );
  for (const name of deprecatedSettings(changedTables(config, daemonPlugins)))
    engine.plugins.get<Warnings>(pluginTypes.warning).emit(name);
  const served = engine.events.keepForReturning(returningMs);
  const ttrpcOwner = config.ttrpc.address === "" ? config.grpc : config.ttrpc;
  starting.use(await serveTtrpc(ttrpcAddress, ttrpcOwner, engine.events, activated.take(ttrpcAddress)));
  // Shims that are found again send what happened meanwhile, so somebody has to listen before.
  await engine.resume();
  const { interceptors, metrics } = await startWatchers(engine, config, starting, log);
  const instances = [...engine.plugins.all<Service | ServiceGroup>(pluginTypes.grpc).values()];
  const services = servicesOf(instances);
  served();
  starting.use(await listenGrpc({ config, services, interceptors, activated, log }));
  for (const unused of activated.closeRest())
    log.log("warn", `nothing is configured to be served at "${unused}", which the service manager listens at`);
  for (const instance of instances) if ("services" in instance) void instance.begin();
  restWhenIdle();
  log.log("info", "serving...", { address });
  log.log("info", "serving... (ttrpc)", { address: ttrpcAddress });
  const running = starting.move();
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= running.disposeAsync();
    return stopping;
  };
  const inForce = { ...config };
  const reload = (wanted: DaemonConfig): ReloadReport => reloadInto({ engine, log, metrics }, inForce, wanted);
  return { engine, services, address, ttrpcAddress, reload, stop, [Symbol.asyncDispose]: stop };
}

/** Starts what looks on if it is configured, and gives what it wants around every call. */
async function startWatchers(
  engine: Engine,
  config: DaemonConfig,
  stack: AsyncDisposableStack,
  log: LevelLogger,
): Promise<{ interceptors: Interceptor[]; metrics: RunningMetrics | undefined }> {
  const interceptors: Interceptor[] = [];
  let metrics: RunningMetrics | undefined;
  if (config.metrics.address !== "") {
    const { startMetrics } = await import("./metrics/start.ts");
    metrics = stack.use(
      startMetrics(engine, {
        address: config.metrics.address,
        histogram: config.metrics.grpc_histogram,
        tasks: engine.plugins.all<TaskMonitor>(taskMonitorType).get("cgroups")?.prometheus ?? false,
        shimTimeoutMs: config.timeouts["io.containerd.timeout.metrics.shimstats"] ?? 2000,
        log,
      }),
    );
    log.log("info", "serving... (metrics)", { address: config.metrics.address, port: metrics.port });
    interceptors.push(metrics.interceptor);
  }
  if (config.debug.address !== "") {
    const { startDebug } = await import("./debug/index.ts");
    const { address, uid, gid } = config.debug;
    const debug = stack.use(await startDebug({ address, owner: { uid, gid }, log }));
    log.log("info", "serving... (debug)", { address });
    interceptors.push(debug.interceptor);
  }
  return { interceptors, metrics };
}

/** Puts the daemon into a control group, which is made if it is missing. */
function enterCgroup(path: string): void {
  try {
    const cgroup = cgroupAt(path);
    createCgroup(cgroup);
    joinCgroup(cgroup, process.pid);
  } catch (cause) {
    const { message } = HullError.from(cause);
    throw failedPrecondition(`the daemon can't enter the control group "${path}" of "cgroup.path": ${message}`, {
      cause,
    });
  }
}

function adjustOomScore(score: number, log: Logger): void {
  if (score === 0) return;
  try {
    setOomScoreAdjust("self", score);
  } catch (error) {
    log.log("warn", "the OOM score could not be set", { oom_score: score, error: HullError.from(error).message });
  }
}
