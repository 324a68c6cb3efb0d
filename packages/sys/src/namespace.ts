/** Namespaces: naming, opening, keeping one without a process, and doing something in one. */

import { closeSync, openSync, readlinkSync, rmSync } from "node:fs";
import { HullError, internal } from "@hull/errors";
import { Descriptor, open, openFlags } from "./fd.ts";
import { mount, unmountAll } from "./mount.ts";
import { enterNamespace, namespaceFlags, unshare } from "./process.ts";

/** A kind of namespace, by its file in /proc/<pid>/ns. */
export type NamespaceKind = "cgroup" | "ipc" | "mnt" | "net" | "pid" | "time" | "user" | "uts";

/** A descriptor of a process's namespace. @throws SysError ENOENT: no such process. */
export function openNamespace(pid: number | "self", kind: NamespaceKind): number {
  return open(`/proc/${pid}/ns/${kind}`, openFlags.readOnly);
}

/** What tells a process's namespace from another: "net:[4026531840]". */
export function namespaceIdentity(pid: number | "self", kind: NamespaceKind): string {
  return readlinkSync(`/proc/${pid}/ns/${kind}`);
}

/** Keeps a namespace at a path (a file is made there, and mounted over) until `unpinNamespace`. */
export function pinNamespace(source: string, path: string): void {
  closeSync(openSync(path, "wx", 0o444));
  try {
    mount({ source, target: path, flags: 0x1000 });
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/** Lets go of a pinned namespace. What isn't there is fine. */
export function unpinNamespace(path: string): void {
  unmountAll(path);
  rmSync(path, { force: true });
}

/** Makes a network namespace, with nothing in it but a loopback interface that is down, and pins it at `path`. */
export function createNetworkNamespace(path: string): void {
  const self = "/proc/thread-self/ns/net";
  restoring(self, () => {
    unshare(namespaceFlags.network);
    pinNamespace(self, path);
  });
}

/**
 * Runs `action` in a network namespace: sockets it makes and programs it starts belong there. A network namespace is a
 * thread's own, so the rest of the process doesn't notice; `action` must not wait for anything, or others would run in it.
 */
export function inNetworkNamespace<T>(path: string, action: () => T extends PromiseLike<unknown> ? never : T): T {
  return restoring("/proc/thread-self/ns/net", () => {
    using there = new Descriptor(open(path, openFlags.readOnly));
    enterNamespace(there.fd, namespaceFlags.network);
    return action();
  });
}

function restoring<T>(self: string, action: () => T): T {
  using home = new Descriptor(open(self, openFlags.readOnly));
  try {
    return action();
  } finally {
    try {
      enterNamespace(home.fd);
    } catch (error) {
      // Going on in the wrong network would be worse than not at all.
      console.error(internal("the thread can't return to its network namespace", { cause: HullError.from(error) }));
      process.abort();
    }
  }
}
