import { readFileSync, readlinkSync } from "node:fs";
import { close, setInheritable } from "@hull/sys/fd";

/** The first descriptor that a service manager hands over: sd_listen_fds(3). */
const firstDescriptor = 3;

/**
 * Listening sockets that a service manager opened before it started the daemon (systemd's socket activation).
 *
 *   takeActivation() ──take(path)──► the descriptor, from then on the taker's ──closeRest()──► those that nobody took
 *
 * A socket is recognized by the path that it is bound to.
 */
export class ActivatedSockets {
  readonly #byPath: Map<string, number>;
  readonly #others: number[];

  constructor(byPath: Map<string, number>, others: number[]) {
    this.#byPath = byPath;
    this.#others = others;
  }

  /** The descriptor that listens at a path, if there is one; only once. */
  take(path: string): number | undefined {
    const fd = this.#byPath.get(path);
    this.#byPath.delete(path);
    return fd;
  }

  /** Closes what is left. Gives what was closed, as a user knows it. */
  closeRest(): string[] {
    const left = [...this.#byPath.keys(), ...this.#others.map((fd) => `descriptor ${fd}`)];
    for (const fd of [...this.#byPath.values(), ...this.#others]) close(fd);
    this.#byPath.clear();
    this.#others.length = 0;
    return left;
  }
}

/** Takes the sockets that the environment speaks of, so that no child does. */
export function takeActivation(env: NodeJS.ProcessEnv = process.env): ActivatedSockets {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = env;
  delete env.LISTEN_PID;
  delete env.LISTEN_FDS;
  delete env.LISTEN_FDNAMES;
  const byPath = new Map<string, number>();
  const others: number[] = [];
  // The variables are inherited: those for another process mean nothing here.
  const given = pid === String(process.pid) && /^\d{1,3}$/.test(count ?? "") ? Number(count) : 0;
  for (let fd = firstDescriptor; fd < firstDescriptor + given; fd++) {
    setInheritable(fd, false);
    const path = pathOf(fd);
    if (path === undefined || byPath.has(path)) others.push(fd);
    else byPath.set(path, fd);
  }
  return new ActivatedSockets(byPath, others);
}

/** Where a unix socket is bound, by the kernel's list: proc(5), /proc/net/unix. */
function pathOf(fd: number): string | undefined {
  const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? [];
  if (inode === undefined) return undefined;
  const line = readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .find((entry) => entry.split(/\s+/)[6] === inode);
  return line === undefined ? undefined : /^(?:\S+\s+){6}\s*\d+ (\/.*)$/.exec(line)?.[1];
}
