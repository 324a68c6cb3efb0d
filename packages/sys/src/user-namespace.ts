/** Making user namespaces: a process must do it that has one thread. */

import { readSync, writeFileSync, writeSync } from "node:fs";
import { unavailable } from "@hull/errors";
import { close, pipe } from "./fd.ts";
import type { IdRange } from "./mount-idmap.ts";
import { spawn } from "./spawn.ts";

/** A process that keeps a user namespace until it is disposed of. */
export interface UserNamespace extends Disposable {
  readonly pid: number;
}

/**
 * Starts a process in a user namespace with these ids, and in other new namespaces which that one owns.
 *
 * It does nothing but wait. When its echo comes back, the namespaces are there. @throws Unavailable where there are no user namespaces
 */
export function userNamespace(
  { uids, gids }: { uids: readonly IdRange[]; gids: readonly IdRange[] },
  others: readonly ("ipc" | "net" | "uts")[] = [],
): UserNamespace {
  using scope = new DisposableStack();
  const owned = (fd: number): number => {
    scope.defer(() => close(fd));
    return fd;
  };
  const into = pipe();
  const out = pipe();
  const [toChild, fromChild, childWrites] = [owned(into.write), owned(out.read), out.write];
  let child: ReturnType<typeof spawn>;
  try {
    const kinds = ["--user", ...others.map((kind) => `--${kind}`)];
    child = spawn({ argv: ["unshare", ...kinds, "--", "cat"], descriptors: [into.read, childWrites, "null"] });
  } finally {
    close(into.read);
    close(childWrites);
  }
  scope.defer(() => child.kill("SIGKILL"));
  writeSync(toChild, "x");
  if (readSync(fromChild, new Uint8Array(1)) === 0) {
    throw unavailable("mapped ids need a user namespace, and unshare(1) of util-linux can't make one here");
  }
  const lines = (ranges: readonly IdRange[]) =>
    ranges.map(({ inside, outside, size }) => `${inside} ${outside} ${size}\n`).join("");
  writeFileSync(`/proc/${child.pid}/uid_map`, lines(uids));
  writeFileSync(`/proc/${child.pid}/gid_map`, lines(gids));
  const kept = scope.move();
  return { pid: child.pid, [Symbol.dispose]: () => kept.dispose() };
}
