/** Which OCI runtime runs containers that don't name one. */

import { basename } from "node:path";
import { unavailable } from "@hull/errors";
import { mountInfo } from "@hull/sys/mount";
import { startProgram, which } from "@hull/sys/program";

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

/**
 * What runs a container of this specification instead of the default `runtime`: runc in place of a crun that refuses its version, where
 * there is one. crun before 1.14.3 takes only versions with "1.0" in them, which containerd 2's clients no longer write.
 */
export async function runtimeForSpec(
  runtime: string,
  spec: Uint8Array,
  find: (name: string) => string | null = which,
): Promise<string> {
  if (basename(runtime) !== "crun" || versionOfSpec(spec).includes("1.0") || (await takesEveryVersion(runtime))) {
    return runtime;
  }
  return find("runc") ?? runtime;
}

/** Empty if it has none; what it is otherwise wrong about, the runtime tells. */
function versionOfSpec(spec: Uint8Array): string {
  try {
    const { ociVersion }: { ociVersion?: unknown } = JSON.parse(new TextDecoder().decode(spec));
    return typeof ociVersion === "string" ? ociVersion : "";
  } catch {
    return "";
  }
}

async function takesEveryVersion(crun: string): Promise<boolean> {
  const said = await new Response(
    startProgram([crun, "--version"], { stdio: ["ignore", "pipe", "ignore"] }).stdout,
  ).text();
  const [major = 0, minor = 0, patch = 0] = (/^crun version ([\d.]+)/.exec(said)?.[1] ?? "").split(".").map(Number);
  return major > 1 || (major === 1 && (minor > 14 || (minor === 14 && patch >= 3)));
}

function hasHybridCgroups(): boolean {
  const types = new Set(mountInfo().map(({ type }) => type));
  return types.has("cgroup") && types.has("cgroup2");
}
