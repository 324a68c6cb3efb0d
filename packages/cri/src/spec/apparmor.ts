/** AppArmor's profiles in the kernel, and the one that containers have by default (apparmor.d(5)). */

import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { unknown } from "@hull/errors";

const kernelProfiles = "/sys/kernel/security/apparmor/profiles";

/** containerd's name for it: shared with a containerd of the same host. */
export const defaultProfileName = "cri-containerd.apparmor.d";

/** True if the kernel confines by AppArmor. In a container of another program's the profiles aren't ours to load. */
export function supportsAppArmor(): boolean {
  if (!existsSync("/sys/kernel/security/apparmor") || process.env.container) return false;
  try {
    return readFileSync("/sys/module/apparmor/parameters/enabled", "utf8").startsWith("Y");
  } catch {
    return false;
  }
}

/** @throws Unknown, in containerd's words, unless the kernel has the profile */
export async function checkProfile(name: string, list = kernelProfiles): Promise<void> {
  if (name === "") throw unknown("failed to generate apparmor spec opts: nil apparmor profile is not supported");
  if (!(await loaded(name, list)))
    throw unknown(`failed to generate apparmor spec opts: apparmor profile not found ${name}`);
}

async function loaded(name: string, list: string): Promise<boolean> {
  const text = await readFile(list, "utf8");
  return text.split("\n").some((line) => line.startsWith(`${name} (`));
}

/** Sees to it that the kernel has the default profile. @throws Unknown if it can't be loaded */
export async function loadDefaultProfile(list = kernelProfiles): Promise<string> {
  if (await loaded(defaultProfileName, list)) return defaultProfileName;
  const parser = Bun.which("apparmor_parser");
  if (parser === null)
    throw unknown(
      `load apparmor profile ${defaultProfileName}: apparmor_parser is not installed: install the package "apparmor", or set disable_apparmor`,
    );
  const peer = await ownProfile();
  const child = Bun.spawn([parser, "-Kr", "--", "/dev/stdin"], {
    stdio: [
      new TextEncoder().encode(defaultProfile({ peer, macros: (name) => existsSync(`/etc/apparmor.d/${name}`) })),
      "ignore",
      "pipe",
    ],
    env: { PATH: process.env.PATH ?? "" },
  });
  const [problems, status] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (status !== 0) throw unknown(`load apparmor profile ${defaultProfileName}: apparmor_parser: ${problems.trim()}`);
  return defaultProfileName;
}

/** What confines this process, which must be able to send signals to containers. */
async function ownProfile(): Promise<string> {
  try {
    return (await readFile("/proc/self/attr/current", "utf8")).split(" ")[0]?.trim() || "unconfined";
  } catch {
    return "unconfined";
  }
}

/**
 * The default profile's text: files and network are free; what changes the kernel's state (mounts, most of /proc/sys and /sys) is not. The
 * rules are those that Docker and containerd agree on, so that a workload meets the same limits.
 */
export function defaultProfile(host: { peer: string; macros: (name: string) => boolean }): string {
  const has = host.macros;
  const readable = ["/sys/firmware", "/sys/devices/virtual/powercap", "/sys/kernel/security"];
  return [
    ...(has("abi/3.0") ? ["abi <abi/3.0>,"] : []),
    has("tunables/global") ? "#include <tunables/global>" : "@{PROC}=/proc/",
    `profile ${defaultProfileName} flags=(attach_disconnected,mediate_deleted) {`,
    ...(has("abstractions/base") ? ["  #include <abstractions/base>"] : []),
    "  network,",
    "  capability,",
    "  file,",
    "  umount,",
    // Signals come from the host, the OCI runtime and the daemon, and go among the container's own.
    ...["unconfined", "runc", "crun", host.peer].map((peer) => `  signal (receive) peer=${peer},`),
    `  signal (send,receive) peer=${defaultProfileName},`,
    `  ptrace (trace,read,tracedby,readby) peer=${defaultProfileName},`,
    "  deny mount,",
    // Below /proc: only processes' own directories and /proc/sys/kernel/shm* may be written.
    "  deny @{PROC}/* w,",
    "  deny @{PROC}/{[^1-9/],[^1-9/][^0-9/],[^1-9s/][^0-9y/][^0-9s/],[^1-9/][^0-9/][^0-9/][^0-9/]*}/** w,",
    "  deny @{PROC}/sys/[^k]** w,",
    "  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,",
    ...["sysrq-trigger", "kcore"].map((file) => `  deny @{PROC}/${file} rwklx,`),
    // Below /sys: only control groups, as far as they are mounted writable.
    ...["[^f]*", "f[^s]*", "fs/[^c]*", "fs/c[^g]*", "fs/cg[^r]*"].map((part) => `  deny /sys/${part}/** wklx,`),
    ...readable.map((directory) => `  deny ${directory}/** rwklx,`),
    "}",
    "",
  ].join("\n");
}
