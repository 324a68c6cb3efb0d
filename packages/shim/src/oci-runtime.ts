/**
 * The OCI runtime's command line: runc, and crun which takes the same arguments.
 *
 * Source: runc(8) and its pages; https://github.com/opencontainers/runtime-tools/blob/master/docs/command-line-interface.md
 */

import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { HullError, notFound, unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Descriptor } from "@hull/sys/fd";
import { openNull } from "@hull/sys/null-device";
import { span } from "@hull/trace";
import type { Children } from "./children.ts";
import type { ProcessStdio } from "./stdio.ts";

/** How a runtime is called. */
export interface RuntimeConfig {
  /** Path, or a name to be found in $PATH. */
  binary: string;
  /** Where the runtime keeps the states of its containers. */
  root: string;
  /** The file that the runtime writes its log to, in JSON. */
  log: string;
  systemdCgroup: boolean;
}

/** What `create` and `exec` share. */
interface StartOptions {
  pidFile: string;
  /** Socket that the runtime sends the terminal's master to; none for a process without a terminal. */
  consoleSocket?: string;
  stdio: ProcessStdio;
}

/** What of a process CRIU takes with it: flags of `runc checkpoint` and `restore`. */
export interface CheckpointFlags {
  imagePath: string;
  workPath: string;
  parentPath?: string;
  openTcp?: boolean;
  externalUnixSockets?: boolean;
  terminal?: boolean;
  fileLocks?: boolean;
  /** soft, full, strict or ignore; empty for the runtime's default. */
  cgroupsMode?: string;
  emptyNamespaces?: readonly string[];
}

/** Whether a runtime is crun, by its name. */
export const isCrun = (binary: string): boolean => basename(binary).startsWith("crun");

/** One container's runtime. Every failure is an `unknown` HullError with the text of the runtime's last log entry. */
export class OciRuntime {
  readonly #config: RuntimeConfig;
  readonly #children: Children;

  constructor(config: RuntimeConfig, children: Children) {
    this.#config = config;
    this.#children = children;
  }

  /** Makes the container; its first process waits for `start`. */
  async create(
    id: string,
    options: StartOptions & { bundle: string; noPivotRoot: boolean; noNewKeyring: boolean },
  ): Promise<void> {
    const flags = ["--bundle", options.bundle, "--pid-file", options.pidFile];
    if (options.consoleSocket !== undefined) flags.push("--console-socket", options.consoleSocket);
    if (options.noPivotRoot) flags.push("--no-pivot");
    if (options.noNewKeyring) flags.push("--no-new-keyring");
    await this.#run("OCI runtime create failed", ["create", ...flags, id], options.stdio.descriptors);
  }

  async start(id: string): Promise<void> {
    await this.#run("OCI runtime start failed", ["start", id]);
  }

  /** Starts another process in a running container, as its OCI process document in the file `spec` says. */
  async exec(id: string, options: StartOptions & { spec: string }): Promise<void> {
    const flags = ["--process", options.spec, "--pid-file", options.pidFile, "--detach"];
    if (options.consoleSocket !== undefined) flags.push("--console-socket", options.consoleSocket);
    await this.#run("OCI runtime exec failed", ["exec", ...flags, id], options.stdio.descriptors);
  }

  /** Writes the container's processes to a directory. They go on afterwards if `leaveRunning`. */
  async checkpoint(id: string, options: CheckpointFlags & { leaveRunning: boolean }): Promise<void> {
    const flags = checkpointFlags(options);
    if (options.leaveRunning) flags.push("--leave-running");
    const failure = (status: number) => `${this.#config.binary} did not terminate successfully: exit status ${status}`;
    await this.#run(failure, ["checkpoint", ...flags, id]);
  }

  /** Makes and starts a container from what `checkpoint` wrote. */
  async restore(
    id: string,
    options: StartOptions & CheckpointFlags & { bundle: string; noPivotRoot: boolean },
  ): Promise<void> {
    const flags = [...checkpointFlags(options), "--detach", "--pid-file", options.pidFile];
    if (options.consoleSocket !== undefined) flags.push("--console-socket", options.consoleSocket);
    if (options.noPivotRoot) flags.push("--no-pivot");
    // runc's alone, whose default it is to adopt the container's processes; crun never does.
    if (!isCrun(this.#config.binary)) flags.push("--no-subreaper");
    const args = ["restore", ...flags, "--bundle", options.bundle, id];
    await this.#run("OCI runtime restore failed", args, options.stdio.descriptors);
  }

  /** @throws NotFound "process already finished" */
  async kill(id: string, signal: number, all: boolean): Promise<void> {
    try {
      await this.#run("OCI runtime kill failed", ["kill", ...(all ? ["--all"] : []), id, String(signal)]);
    } catch (error) {
      if (
        error instanceof HullError &&
        /process already finished|not running|does not exist|No such process/i.test(error.message)
      ) {
        throw notFound("process already finished", { cause: error });
      }
      throw error;
    }
  }

  /** Removes a stopped container from the runtime's books; one that it doesn't know is fine. */
  async delete(id: string, options: { force?: boolean } = {}): Promise<void> {
    try {
      await this.#run("OCI runtime delete failed", ["delete", ...(options.force ? ["--force"] : []), id]);
    } catch (error) {
      if (!(error instanceof HullError && /does not exist/.test(error.message))) throw error;
    }
  }

  async pause(id: string): Promise<void> {
    await this.#run("OCI runtime pause failed", ["pause", id]);
  }

  async resume(id: string): Promise<void> {
    await this.#run("OCI runtime resume failed", ["resume", id]);
  }

  /** @param resources the runtime spec's `linux.resources`, JSON */
  async update(id: string, resources: Uint8Array): Promise<void> {
    await this.#run("OCI runtime update failed", ["update", "--resources", "-", id], [resources, "ignore", "ignore"]);
  }

  async #run(
    failure: string | ((status: number) => string),
    args: readonly string[],
    stdio?: readonly (number | Uint8Array | "ignore")[],
  ): Promise<void> {
    const { binary, root, log, systemdCgroup } = this.#config;
    const argv = [binary, "--root", root, "--log", log, "--log-format", "json"];
    if (systemdCgroup) argv.push("--systemd-cgroup");
    argv.push(...args);
    // What is nowhere to the container may be given to its user by the runtime: not the host's own node.
    using nowhere = stdio?.includes("ignore") === true ? new Descriptor(openNull()) : undefined;
    const [stdin, stdout, stderr] = (stdio ?? []).map((one) => (one === "ignore" ? (nowhere?.fd ?? one) : one));
    const logged = sizeOf(log);
    let status: number;
    try {
      const [command = ""] = args;
      const attributes = { "process.executable.path": binary, "process.command": command };
      status = await span(`runtime ${command}`, { attributes }, () =>
        this.#children.run(() => Bun.spawn(argv, { stdio: [stdin ?? "ignore", outputOf(stdout), outputOf(stderr)] })),
      );
    } catch (error) {
      if (!isErrno(error, "ENOENT", "EACCES")) throw error;
      throw unknown(`${textOf(failure, 127)}: OCI runtime "${binary}" can't be run: install it, or name another one`, {
        cause: error,
      });
    }
    if (status !== 0) throw unknown(`${textOf(failure, status)}: ${lastError(log, logged) ?? `exit status ${status}`}`);
  }
}

function textOf(failure: string | ((status: number) => string), status: number): string {
  return typeof failure === "string" ? failure : failure(status);
}

function checkpointFlags(options: CheckpointFlags): string[] {
  const flags = ["--image-path", options.imagePath, "--work-path", options.workPath];
  if (options.parentPath) flags.push("--parent-path", options.parentPath);
  if (options.openTcp) flags.push("--tcp-established");
  if (options.externalUnixSockets) flags.push("--ext-unix-sk");
  if (options.terminal) flags.push("--shell-job");
  if (options.fileLocks) flags.push("--file-locks");
  if (options.cgroupsMode) flags.push("--manage-cgroups-mode", options.cgroupsMode);
  for (const namespace of options.emptyNamespaces ?? []) flags.push("--empty-ns", namespace);
  return flags;
}

function outputOf(stream: number | Uint8Array | "ignore" | undefined): number | "ignore" {
  return typeof stream === "number" ? stream : "ignore";
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/** The text of the last error in a runtime's log behind `from`, undefined if there is none. */
export function lastError(log: string, from: number): string | undefined {
  let text: string;
  try {
    text = readFileSync(log).subarray(from).toString("utf8");
  } catch {
    return undefined;
  }
  return lastErrorOf(text);
}

/** The message of the last entry of level error in a log of one JSON object a line; lines that are none are passed over. */
export function lastErrorOf(text: string): string | undefined {
  let last: string | undefined;
  for (const line of text.split("\n")) {
    try {
      const entry: unknown = JSON.parse(line);
      if (isEntry(entry) && (entry.level === "error" || entry.level === "fatal")) last = entry.msg.trim();
    } catch {
      // A line that the runtime's own parts wrote as plain text, or half of one.
    }
  }
  return last;
}

function isEntry(value: unknown): value is { level: string; msg: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    "level" in value &&
    typeof value.level === "string" &&
    "msg" in value &&
    typeof value.msg === "string"
  );
}
