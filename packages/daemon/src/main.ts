import { mkdirSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import type { Logger } from "@hull/engine/log";
import { HullError, invalidArgument } from "@hull/errors";
import { type DaemonConfig, defaultConfig, loadConfig } from "./config/load.ts";
import { writeConfig } from "./config/write.ts";
import { type Daemon, daemonPlugins, startDaemon } from "./daemon.ts";
import { type DaemonFlags, parseFlags, usage } from "./flags.ts";
import { createLogger, parseLogLevel } from "./log.ts";
import { type Readiness, takeReadiness } from "./readiness.ts";
import { logLevelOf } from "./reload.ts";
import { type ActivatedSockets, takeActivation } from "./server/activation.ts";
import { type ServiceManager, takeServiceManager } from "./service-manager.ts";
import { stopDaemonOf } from "./stop.ts";
import { revision, version } from "./version.ts";

/** `hull daemon`: runs until it is told to stop. Gives the exit status. */
export async function daemonMain(args: readonly string[]): Promise<number> {
  const readiness = takeReadiness();
  const manager = takeServiceManager((message) =>
    writeSync(2, `hull: the service manager can't be told: ${message}\n`),
  );
  try {
    return await run(parseFlags(args), readiness, manager, takeActivation());
  } catch (error) {
    const { message } = HullError.from(error);
    readiness.failed(message);
    manager.status(message);
    writeSync(2, `hull: ${message}\n`);
    return 1;
  }
}

async function run(
  flags: DaemonFlags,
  readiness: Readiness,
  manager: ServiceManager,
  activated: ActivatedSockets,
): Promise<number> {
  if (flags.help) return print(usage);
  if (flags.version) return print(`hull ${version} ${revision}\n`);
  const [command, ...rest] = flags.command;
  if (command === "config") return configCommand(flags, rest);
  if (command === "stop") return await stopCommand(flags);
  if (command !== undefined)
    throw invalidArgument(`"${command}" is not a command of the daemon: see hull daemon --help`);
  const loaded = loadConfig(flags.config, daemonPlugins);
  const config = withFlags(loaded.config, flags);
  const log = createLogger({
    level: logLevelOf(config),
    format: config.debug.format === "json" ? "json" : "text",
    write: (line) => process.stderr.write(line),
  });
  for (const warning of loaded.warnings) log.log("warn", warning);
  log.log("info", "starting hull", { version, revision });
  surviveErrors(log);
  if (config.temp !== "") useTemporaryDirectory(resolve(config.temp));
  const stopped = stopSignal(log);
  const daemon = await startDaemon(config, log, activated);
  process.removeAllListeners("SIGHUP");
  process.on("SIGHUP", () => reload(daemon, flags, manager, log));
  readiness.ready();
  manager.ready();
  // Since the process began, which is what its user waits for.
  log.log("info", `hull successfully booted in ${(performance.now() / 1000).toFixed(6)}s`);
  log.log("info", "stopping", { signal: await stopped });
  manager.stopping();
  await daemon.stop();
  // The process ends by itself once nothing is open; what a library forgot must not hold up a service's stop.
  setTimeout(() => process.exit(0), 1000).unref();
  return 0;
}

/** `default` has comments; the others show what counts, and on stderr what doesn't. */
function configCommand(flags: DaemonFlags, [action, ...more]: readonly string[]): number {
  if (more.length > 0 || !["default", "dump", "migrate"].includes(action ?? ""))
    throw invalidArgument('"config" takes "default", "dump" or "migrate"');
  const { config, warnings } = action === "default" ? defaultConfig() : loadConfig(flags.config, daemonPlugins);
  for (const warning of warnings) writeSync(2, `hull: ${warning}\n`);
  return print(writeConfig(withFlags(config, flags), daemonPlugins, { comments: action === "default" }));
}

async function stopCommand(flags: DaemonFlags): Promise<number> {
  const { root } = withFlags(loadConfig(flags.config, daemonPlugins).config, flags);
  const pid = await stopDaemonOf(resolve(root));
  return print(`hull: stopped the daemon (pid ${pid}); containers that run go on\n`);
}

function withFlags(config: DaemonConfig, flags: DaemonFlags): DaemonConfig {
  const level = flags.logLevel === undefined ? config.debug.level : parseLogLevel(flags.logLevel);
  return {
    ...config,
    root: flags.root ?? config.root,
    state: flags.state ?? config.state,
    grpc: { ...config.grpc, address: flags.address ?? config.grpc.address },
    debug: { ...config.debug, level },
  };
}

/** For everything that this process and its children keep for a while. */
function useTemporaryDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  process.env.TMPDIR = directory;
}

/** Resolves with the first signal that means "stop". */
function stopSignal(log: Logger): Promise<string> {
  process.on("SIGHUP", () => log.log("info", "SIGHUP is ignored while the daemon starts"));
  // The runtime would open a debugger.
  process.on("SIGUSR1", () => log.log("info", "SIGUSR1 is ignored"));
  return new Promise((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
}

/** Reads the configuration anew. One that is bad changes nothing. */
function reload(daemon: Daemon, flags: DaemonFlags, manager: ServiceManager, log: Logger): void {
  manager.reloading();
  try {
    const { config, warnings } = loadConfig(flags.config, daemonPlugins);
    for (const warning of warnings) log.log("warn", warning);
    const { applied, waiting } = daemon.reload(withFlags(config, flags));
    log.log("info", "configuration reloaded", { changed: applied.join(", ") || "nothing" });
    if (waiting.length > 0) log.log("warn", "some changes need a restart of the daemon", { keys: waiting.join(", ") });
  } catch (error) {
    log.log("error", "the configuration stays as it was", { error: HullError.from(error).message });
  }
  manager.ready();
}

/** A slip in one call must not end the others: everything that has to last is in files. */
function surviveErrors(log: Logger): void {
  const note = (kind: string) => (thrown: unknown) => {
    const stack = thrown instanceof Error ? thrown.stack : undefined;
    log.log("error", kind, { error: HullError.from(thrown).message, stack });
  };
  process.on("uncaughtException", note("uncaught exception"));
  process.on("unhandledRejection", note("unhandled rejection"));
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
