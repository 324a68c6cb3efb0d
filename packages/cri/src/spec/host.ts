/** What specs depend on, as this host has it. */

import { readFileSync, statSync } from "node:fs";
import { mkdir, readFile, realpath } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { hasAppArmor } from "@hull/engine/apparmor/index";
import { unknown } from "@hull/errors";
import { hostPlatform } from "@hull/oci/platform";
import { cgroupMode, cgroupOf } from "@hull/sys/cgroup";
import { ownCapabilities } from "@hull/sys/credentials";
import { describeErrno, isErrno } from "@hull/sys/errno";
import { parseMountInfo } from "@hull/sys/mount-info";
import type { CriRuntimeConfig } from "../config.ts";
import type { HostFacts } from "./input.ts";
import type { HostPaths } from "./mounts.ts";
import { relabelTree } from "./relabel.ts";

/** Reads what doesn't change while the daemon runs. */
export function readHostFacts({ disable_apparmor }: Pick<CriRuntimeConfig, "disable_apparmor">): HostFacts {
  const unifiedCgroups = cgroupMode() === "v2";
  const capabilities = ownCapabilities();
  return {
    hostname: hostname(),
    architecture: hostPlatform().architecture,
    unifiedCgroups,
    cgroupOptions: cgroupOptions(),
    swapController: unifiedCgroups
      ? exists(join(cgroupOf("self").unified ?? "/sys/fs/cgroup", "memory.swap.max"))
      : exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"),
    hugetlbController: unifiedCgroups
      ? readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").split(/\s+/).includes("hugetlb")
      : exists("/sys/fs/cgroup/hugetlb"),
    capabilities,
    seccomp: /^Seccomp:/m.test(readFileSync("/proc/self/status", "utf8")),
    apparmor: !disable_apparmor && hasAppArmor(),
    oomScore: {
      own: Number(readFileSync("/proc/self/oom_score_adj", "utf8")),
      // To go below the score that one has been given takes this right (proc_pid_oom_score_adj(5)).
      mayLower: capabilities.includes("CAP_SYS_RESOURCE"),
    },
  };
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function cgroupOptions(): string[] {
  const mount = parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8")).findLast(
    ({ target }) => target === "/sys/fs/cgroup",
  );
  return (mount?.superOptions ?? []).filter((option) => option === "nsdelegate" || option === "memory_recursiveprot");
}

/** An error of the kernel's as Go words it: `stat /x: permission denied`. */
function goError(call: string, path: string, error: unknown): Error {
  const number = error instanceof Error && "errno" in error && typeof error.errno === "number" ? -error.errno : 0;
  return unknown(`${call} ${path}: ${describeErrno(number).text}`, { cause: error });
}

/** The host's own files. Nothing here blocks: a path may be on a server that doesn't answer. */
export const hostPaths: HostPaths = {
  async find(path) {
    try {
      return await realpath(path);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw goError("stat", path, error);
    }
  },
  async makeDirectory(path) {
    try {
      await mkdir(path, { recursive: true, mode: 0o755 });
    } catch (error) {
      throw goError("mkdir", path, error);
    }
  },
  async mountOf(path) {
    const mounts = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
    const under = mounts.filter(
      ({ target }) => path === target || path.startsWith(target === "/" ? "/" : `${target}/`),
    );
    const longest = Math.max(...under.map(({ target }) => target.length));
    // Of those at one place the last is on top.
    const found = under.findLast(({ target }) => target.length === longest);
    if (found === undefined) throw unknown(`failed to find the mount info for ${JSON.stringify(path)}`);
    return { target: found.target, propagation: found.propagation };
  },
  relabel: relabelTree,
};
