import type { Socket } from "node:net";
import { resolve } from "node:path";
import { type Engine, enginePlugins, openEngine } from "@hull/engine";
import { parseStreamProcessors } from "@hull/engine/diff/processors";
import { type Logger, silent } from "@hull/engine/log";
import { requireNoOpenMigration } from "@hull/engine/migrate/journal";
import { pluginTypes } from "@hull/engine/plugin/types";
import { HullError } from "@hull/errors";
import { setOomScoreAdjust } from "@hull/sys/process";
import type { DaemonConfig } from "./config/load.ts";
import { lockRoot } from "./lock.ts";
import type { LevelLogger } from "./log.ts";
import { type TaskMonitor, taskMonitorType } from "./metrics/plugin.ts";
import { servicePlugins } from "./plugins.ts";
import { restWhenIdle } from "./rest.ts";
import { GrpcServer } from "./server/grpc.ts";
import { type Interceptor, intercept } from "./server/intercept.ts";
import type { Service } from "./server/service.ts";
import { serveTtrpc } from "./server/ttrpc.ts";
import { acceptAt, placeSocket } from "./server/unix-socket.ts";

/** All plugins that a daemon has: what a configuration may name. */
export const daemonPlugins = [...enginePlugins, ...servicePlugins];

const silentLevel: LevelLogger = { ...silent, level: "panic" };

/** How long calls may still run when the daemon stops, ms. */
const stopGrace = 2000;

export interface Daemon extends AsyncDisposable {
  readonly engine: Engine;
  readonly services: readonly Service[];
  readonly address: string;
  readonly ttrpcAddress: string;
  /** Stops serving, ends running calls, stops the plugins. Containers go on. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon in this process: ready to serve when this resolves.
 * @throws FailedPrecondition if another daemon has the root or the socket; InvalidArgument for plugins that can't be started
 */
export async function startDaemon(config: DaemonConfig, log: LevelLogger = silentLevel): Promise<Daemon> {
  await using starting = new AsyncDisposableStack();
  const root = resolve(config.root);
  const address = resolve(config.grpc.address);
  const ttrpcAddress = config.ttrpc.address === "" ? `${address}.ttrpc` : resolve(config.ttrpc.address);
  starting.use(lockRoot(root));
  requireNoOpenMigration(root);
  adjustOomScore(config.oom_score, log);
  const engine = starting.use(
    await openEngine({
      root,
      state: resolve(config.state),
      plugins: servicePlugins,
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
  const ttrpcOwner = config.ttrpc.address === "" ? config.grpc : config.ttrpc;
  starting.use(await serveTtrpc(ttrpcAddress, ttrpcOwner, engine.events));
  // Shims that are found again send what happened meanwhile, so somebody has to listen before.
  await engine.resume();
  const interceptors = await startWatchers(engine, config, starting, log);
  const services = intercept([...engine.plugins.all<Service>(pluginTypes.grpc).values()], interceptors);
  const server = new GrpcServer(services, {
    maxReceiveMessageSize: config.grpc.max_recv_message_size,
    maxSendMessageSize: config.grpc.max_send_message_size,
  });
  starting.defer(() => server.close(stopGrace));
  starting.use(
    await placeSocket(address, config.grpc, async (path) => {
      const accept = (socket: Socket): void => {
        server.accept(socket);
        restWhenIdle();
        // One that stays for long has had most of its work done after it came.
        socket.once("close", restWhenIdle);
      };
      starting.use(await acceptAt(path, accept));
    }),
  );
  restWhenIdle();
  log.log("info", "serving...", { address });
  log.log("info", "serving... (ttrpc)", { address: ttrpcAddress });
  const running = starting.move();
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= running.disposeAsync();
    return stopping;
  };
  return { engine, services, address, ttrpcAddress, stop, [Symbol.asyncDispose]: stop };
}

/** Starts what looks on if it is configured, and gives what it wants around every call. */
async function startWatchers(
  engine: Engine,
  config: DaemonConfig,
  stack: AsyncDisposableStack,
  log: LevelLogger,
): Promise<Interceptor[]> {
  const interceptors: Interceptor[] = [];
  if (config.metrics.address !== "") {
    const { startMetrics } = await import("./metrics/start.ts");
    const metrics = stack.use(
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
  return interceptors;
}

function adjustOomScore(score: number, log: Logger): void {
  if (score === 0) return;
  try {
    setOomScoreAdjust("self", score);
  } catch (error) {
    log.log("warn", "the OOM score could not be set", { oom_score: score, error: HullError.from(error).message });
  }
}
