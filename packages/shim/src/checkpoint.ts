/** A container's processes on the disk, by CRIU: writing them, and what restoring them takes. */

import { copyFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { CheckpointOptions } from "@hull/api/gen/containerd/runc/v1/options";
import { HullError, unknown } from "@hull/errors";
import { cgroupMode, parseCgroupFile } from "@hull/sys/cgroup";
import { bundlePaths, exchangeSpec, type RuntimeChoice, readSpec } from "./bundle.ts";
import { readText } from "./cgroup.ts";
import { restoreInOwnCgroup } from "./criu-options.ts";
import { isCrun, type OciRuntime } from "./oci-runtime.ts";

/** Writes them to a directory. @throws Unknown with the runtime's reason; CRIU's log is in the bundle then */
export async function writeCheckpoint(
  of: { readonly id: string; readonly runtime: OciRuntime; readonly paths: ReturnType<typeof bundlePaths> },
  path: string,
  options: CheckpointOptions,
): Promise<void> {
  const own = options.workPath === "";
  const workPath = own ? of.paths.criuWork : options.workPath;
  mkdirSync(workPath, { recursive: true, mode: 0o711 });
  try {
    await of.runtime.checkpoint(of.id, { ...options, imagePath: path, workPath, leaveRunning: !options.exit });
  } catch (error) {
    const log = of.paths.criuLog;
    if (existsSync(join(workPath, "dump.log"))) copyFileSync(join(workPath, "dump.log"), log);
    const [first = ""] = HullError.from(error).message.split("\n");
    throw unknown(`${first} path= ${log}`, { cause: error });
  } finally {
    if (own) rmSync(workPath, { recursive: true, force: true });
  }
}

/** Has runc find a spec by which CRIU restores into the container's own control group; crun, and runc with version 1, see to it themselves. */
export function exchangeForRestore(
  { id, bundle }: { readonly id: string; readonly bundle: string },
  { binary, options: { systemdCgroup } }: RuntimeChoice,
): Disposable | undefined {
  if (isCrun(binary) || cgroupMode() !== "v2") return undefined;
  const ownCgroup = parseCgroupFile(readText("/proc/self/cgroup")).get("") ?? "/";
  const annotations = restoreInOwnCgroup(readSpec(bundle), bundlePaths(bundle).criuOptions, {
    id,
    systemdCgroup,
    ownCgroup,
  });
  return exchangeSpec(bundle, { annotations });
}
