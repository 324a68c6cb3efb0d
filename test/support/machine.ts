/**
 * A machine of a test's own: mount, network, process, IPC and UTS namespaces in which daemons keep pods without meeting this machine's.
 *
 *   Machine.start() ──► serve(command) … stop, kill, serve again … ──► dispose: every process and mount of it goes
 *
 * Files are this machine's, but for `/run` and `/var/lib/cni`, which are empty at first. Control groups are this machine's too.
 */

import { readdirSync, readFileSync } from "node:fs";
import { isCode } from "@hull/errors";
import { processStat } from "@hull/sys/process";
import { type Outcome, runProgram, type Server, startServer } from "./process.ts";

/** Says that it is ready, and then takes in the processes that lose their parents. */
const initScript = `
set -e
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /var/lib/cni
mount -t tmpfs -o mode=755 tmpfs /var/lib/cni
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo machine ready >&2
sleep 2147483647 &
while :; do wait; done
`;

export class Machine implements AsyncDisposable {
  /** Its first process, as this machine numbers it. */
  readonly pid: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.pid = childOf(server.pid);
  }

  static async start(): Promise<Machine> {
    const namespaces = ["--mount", "--net", "--pid", "--ipc", "--uts", "--propagation", "private"];
    // Neither the end of the test's process nor a signal to what is between leaves any of it.
    const command = ["setpriv", "--pdeathsig", "KILL", "unshare", ...namespaces, "--fork", "--kill-child"];
    return new Machine(await startServer([...command, "--mount-proc", "sh", "-c", initScript], /machine ready/));
  }

  /** A command that becomes the one which follows it, inside. */
  get enter(): readonly string[] {
    return ["nsenter", "--target", String(this.pid), "--mount", "--net", "--pid", "--ipc", "--uts"];
  }

  /** Runs a program inside. */
  run(command: readonly string[], options: Parameters<typeof runProgram>[1] = {}): Promise<Outcome> {
    return runProgram([...this.enter, ...command], options);
  }

  /** Starts a server inside; its pid is the one that this machine knows. @throws Error with its log if it doesn't become ready */
  async serve(command: readonly string[], ready: RegExp): Promise<Server> {
    const outer = await startServer([...this.enter, ...command], ready);
    const pid = childOf(outer.pid);
    let ended = false;
    void outer.exited.then(() => {
      ended = true;
    });
    const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<number> => {
      if (!ended) process.kill(pid, signal);
      return outer.exited;
    };
    return { pid, log: outer.log, exited: outer.exited, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
  }

  /** Where something is mounted inside, in the order of mounting. */
  mounts(): string[] {
    return readFileSync(`/proc/${this.pid}/mountinfo`, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop("SIGKILL");
  }
}

/** The one child of a process. */
function childOf(pid: number): number {
  const children = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry) && parentOf(entry) === pid);
  if (children.length !== 1) throw new Error(`process ${pid} has the children "${children.join(" ")}", not one`);
  return Number(children[0]);
}

/** Not every kernel has a list of children (CONFIG_PROC_CHILDREN). Undefined for a process that is gone. */
function parentOf(pid: string): number | undefined {
  try {
    return processStat(Number(pid)).parent;
  } catch (error) {
    if (isCode(error, "notFound")) return undefined;
    throw error;
  }
}
