/** Which OCI runtime runs containers that don't name one. */

import { unavailable } from "@hull/errors";
import { mountInfo } from "@hull/sys/mount";
import { which } from "@hull/sys/program";

/**
 * The default: crun where it works on this host, since it takes a third of runc's time; else runc.
 *
 * crun refuses hosts with version 1 cgroups which have the version 2 hierarchy mounted beside them ("hybrid").
 *
 * @throws Unavailable if neither is installed
 */
export function defaultOciRuntime(find: (name: string) => string | null = which): string {
  const crun = find("crun");
  if (crun !== null && !hasHybridCgroups()) return crun;
  const runc = find("runc");
  if (runc !== null) return runc;
  if (crun !== null) return crun;
  throw unavailable(
    "no OCI runtime found: install runc or crun, or set the runtime's binary_name in the configuration",
  );
}

function hasHybridCgroups(): boolean {
  const types = new Set(mountInfo().map(({ type }) => type));
  return types.has("cgroup") && types.has("cgroup2");
}
