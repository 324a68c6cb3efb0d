/** The action `delete`: cleans up after a shim that is gone. Nothing is known but what the bundle records. */

import { readFileSync } from "node:fs";
import { DeleteResponse } from "@hull/api/gen/containerd/task/v3/task";
import { nowNanos, timestampOfNanos } from "@hull/api/timestamp";
import { cgroupAt } from "@hull/sys/cgroup";
import { unmountAll } from "@hull/sys/mount";
import { bundlePaths, readSpec, recordedRuntime } from "./bundle.ts";
import { Children } from "./children.ts";
import type { ShimFlags } from "./flags.ts";
import { removeLeftGroups } from "./left-groups.ts";
import { OciRuntime } from "./oci-runtime.ts";

/** 128 + SIGKILL: how the container ends here, if it has not before. */
const killed = 137;

/** Kills and deletes the container, unmounts its root. @returns the encoded `DeleteResponse` to print */
export async function deleteAction({ id, namespace, bundle }: ShimFlags): Promise<Uint8Array> {
  const directory = bundle === "" ? process.cwd() : bundle;
  const paths = bundlePaths(directory);
  const { binary, root, options } = recordedRuntime(directory, namespace);
  const config = { binary, root, log: paths.log, systemdCgroup: options.systemdCgroup };
  let failure: unknown;
  try {
    await new OciRuntime(config, new Children()).delete(id, { force: true });
  } catch (error) {
    failure = error;
  }
  const { cgroupsPath = "" } = readSpec(directory).linux ?? {};
  // Other forms are systemd's to look after, or relative to where nobody knows.
  if (cgroupsPath.startsWith("/") && !cgroupsPath.split("/").includes("..")) {
    const { controllers, unified } = cgroupAt(cgroupsPath);
    await removeLeftGroups({ v1: new Map(Object.entries(controllers)), v2: unified });
  }
  unmountAll(paths.rootfs);
  if (failure !== undefined) throw failure;
  const exitedAt = timestampOfNanos(nowNanos());
  return DeleteResponse.encode({ pid: pidIn(paths.initPid), exitStatus: killed, exitedAt }).finish();
}

function pidIn(path: string): number {
  try {
    return Number(readFileSync(path, "latin1")) || 0;
  } catch {
    return 0; // it was never made
  }
}
