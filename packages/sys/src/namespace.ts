/** Namespaces: naming, opening, keeping one without a process, and doing something in one. */

import { closeSync, openSync, readlinkSync, rmSync, statfsSync } from "node:fs";
import { HullError, internal } from "@hull/errors";
import { Descriptor, open, openFlags } from "./fd.ts";
import { mount, unmountAll } from "./mount.ts";
import type { IdRange } from "./mount-idmap.ts";
import { enterNamespace, namespaceFlags, unshare } from "./process.ts";
import { userNamespace } from "./user-namespace.ts";

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

const NSFS_MAGIC = 0x6e736673;

/** Whether a namespace is at a path. */
export function isNamespace(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/** Lets go of a pinned namespace. What isn't there is fine. */
export function unpinNamespace(path: string): void {
  unmountAll(path);
  rmSync(path, { force: true });
}

/** Kinds that a thread can have of its own, so that making one needs no process. */
export type ThreadNamespace = "ipc" | "net" | "uts";

/** Where namespaces are kept, by kind. */
export type NamespacePaths = Readonly<Partial<Record<ThreadNamespace, string>>>;

const flagOf: Readonly<Record<ThreadNamespace, number>> = {
  ipc: namespaceFlags.ipc,
  net: namespaceFlags.network,
  uts: namespaceFlags.uts,
};

const kindsOf = (paths: NamespacePaths): ThreadNamespace[] => Object.keys(paths) as ThreadNamespace[];

/**
 * Makes namespaces of the kinds given, in one step, and pins each at its path. `prepare` runs in them before anybody else can; it must not
 * wait for anything. If it fails, or a path can't be mounted on, nothing is left.
 */
export function createNamespaces(paths: NamespacePaths, prepare: () => void = () => {}): void {
  const kinds = kindsOf(paths);
  restoring(kinds, () => {
    using undo = new DisposableStack();
    unshare(kinds.reduce((flags, kind) => flags | flagOf[kind], 0));
    for (const kind of kinds) {
      const path = paths[kind] ?? "";
      pinNamespace(`/proc/thread-self/ns/${kind}`, path);
      undo.defer(() => unpinNamespace(path));
    }
    prepare();
    undo.move();
  });
}

/** Makes a network namespace, with nothing in it but a loopback interface that is down, and pins it at `path`. */
export function createNetworkNamespace(path: string): void {
  createNamespaces({ net: path });
}

/** A user namespace's ranges of ids. */
export interface UserNamespaceMaps {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/**
 * Makes a user namespace and pins it at `user`, and with it those of `paths`, which it owns. A short-lived process makes them, since one with
 * threads can't; see `userNamespace`.
 */
export function createUserNamespaces(maps: UserNamespaceMaps, user: string, paths: NamespacePaths = {}): void {
  using child = userNamespace(maps, kindsOf(paths));
  using undo = new DisposableStack();
  for (const [kind, path] of Object.entries({ ...paths, user })) {
    pinNamespace(`/proc/${child.pid}/ns/${kind}`, path);
    undo.defer(() => unpinNamespace(path));
  }
  undo.move();
}

/**
 * Runs `action` in a network namespace: sockets it makes and programs it starts belong there. A network namespace is a
 * thread's own, so the rest of the process doesn't notice; `action` must not wait for anything, or others would run in it.
 */
export function inNetworkNamespace<T>(path: string, action: () => T extends PromiseLike<unknown> ? never : T): T {
  return inNamespaces({ net: path }, action);
}

/** Runs `action` in pinned namespaces, as `inNetworkNamespace` does in one. */
export function inNamespaces<T>(paths: NamespacePaths, action: () => T extends PromiseLike<unknown> ? never : T): T {
  const kinds = kindsOf(paths);
  return restoring(kinds, () => {
    for (const kind of kinds) {
      using there = new Descriptor(open(paths[kind] ?? "", openFlags.readOnly));
      enterNamespace(there.fd, flagOf[kind]);
    }
    return action();
  });
}

function restoring<T>(kinds: readonly ThreadNamespace[], action: () => T): T {
  using homes = new DisposableStack();
  const fds = kinds.map((kind) => homes.use(new Descriptor(open(`/proc/thread-self/ns/${kind}`, openFlags.readOnly))));
  try {
    return action();
  } finally {
    try {
      for (const { fd } of fds) enterNamespace(fd);
    } catch (error) {
      // Going on in the wrong place would be worse than not at all.
      console.error(internal("the thread can't return to its namespaces", { cause: HullError.from(error) }));
      process.abort();
    }
  }
}
