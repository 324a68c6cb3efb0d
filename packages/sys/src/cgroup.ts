/**
 * Control groups: where a process's are, who is in one, stopping, killing and removing one.
 *
 * Version 2 has one tree; version 1 has a tree per controller; a hybrid host has both, with the controllers in version 1.
 * Formats: cgroups(7), the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
 */

import { mkdirSync, readdirSync, readFileSync, rmdirSync, statfsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { dataLoss, failedPrecondition, invalidArgument } from "@hull/errors";
import { isErrno } from "./errno.ts";
import type { MountInfo } from "./mount-info.ts";
import { mountInfo } from "./mount-info.ts";
import { kill } from "./process.ts";

/** How a host has its control groups; "hybrid" is version 1 with an empty tree of version 2 beside it. */
export type CgroupMode = "v1" | "v2" | "hybrid" | "none";

const CGROUP2_MAGIC = 0x63677270;

/** How this host has its control groups. */
export function cgroupMode(mountPoint = "/sys/fs/cgroup"): CgroupMode {
  const isV2 = (path: string) => {
    try {
      return statfsSync(path).type === CGROUP2_MAGIC;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
  };
  if (isV2(mountPoint)) return "v2";
  if (isV2(join(mountPoint, "unified"))) return "hybrid";
  return mountInfo().some(({ type }) => type === "cgroup") ? "v1" : "none";
}

/** A control group, as the directories that stand for it. */
export interface Cgroup {
  /** Version 1: a directory for each controller ("memory", "cpu", "name=systemd" …). Empty on a pure version 2 host. */
  readonly controllers: Readonly<Record<string, string>>;
  /** Version 2: the directory in the one tree. On a hybrid host it has no controllers. */
  readonly unified?: string;
}

/** Reads the text of /proc/<pid>/cgroup: paths by controller; the one of version 2 has the name "". */
export function parseCgroupFile(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/s.exec(line) ?? [];
    if (controllers === undefined || path === undefined) throw dataLoss(`"${line}" is not a line of a cgroup file`);
    for (const controller of controllers.split(",")) paths.set(controller, path);
  }
  return paths;
}

/** The control group of a process. @throws an fs error (ENOENT, ESRCH; see `isErrno`) if there is no such process. */
export function cgroupOf(pid: number | "self"): Cgroup {
  return locateCgroup(parseCgroupFile(readFileSync(`/proc/${pid}/cgroup`, "utf8")), mountInfo());
}

/** The control group of a path in every tree, as an OCI spec's `cgroupsPath` names it. It need not exist. */
export function cgroupAt(path: string): Cgroup {
  if (!path.startsWith("/") || path.split("/").includes("..")) {
    throw invalidArgument(`"${path}" is not the path of a control group: it must start with "/" and have no ".."`);
  }
  const own = parseCgroupFile(readFileSync("/proc/self/cgroup", "utf8"));
  return locateCgroup(new Map([...own.keys()].map((controller) => [controller, path])), mountInfo());
}

/** Joins what /proc/<pid>/cgroup and mountinfo say. Controllers that aren't mounted are left out. */
export function locateCgroup(paths: ReadonlyMap<string, string>, mounts: readonly MountInfo[]): Cgroup {
  const controllers: Record<string, string> = {};
  let unified: string | undefined;
  for (const { type, root, target, superOptions } of mounts) {
    if (type === "cgroup2") unified ??= directoryIn(root, target, paths.get(""));
    if (type !== "cgroup") continue;
    for (const option of superOptions) {
      const directory = option === "" ? undefined : directoryIn(root, target, paths.get(option));
      if (directory !== undefined) controllers[option] ??= directory;
    }
  }
  return unified === undefined ? { controllers } : { controllers, unified };
}

function directoryIn(root: string, target: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  if (root === "/") return join(target, path);
  // In a container the mount shows a part of the tree, and paths outside it can't be reached.
  if (path !== root && !path.startsWith(`${root}/`)) return undefined;
  return join(target, path.slice(root.length));
}

/** The directories of a group, each once: several controllers may share one. */
function directoriesOf({ controllers, unified }: Cgroup): string[] {
  return [...new Set([...Object.values(controllers), ...(unified === undefined ? [] : [unified])])];
}

/** The one directory that lists who is in the group. */
function membersDirectory({ controllers, unified }: Cgroup): string {
  const directory = controllers.pids ?? controllers.devices ?? controllers.memory ?? unified;
  const [first] = Object.values(controllers);
  if (directory === undefined && first === undefined) throw failedPrecondition("no control groups are mounted");
  return directory ?? first ?? "";
}

/** The processes in a group and all groups below, each once. None if the group doesn't exist. */
export function cgroupProcesses(cgroup: Cgroup): number[] {
  const pids = new Set<number>();
  for (const directory of treeOf(membersDirectory(cgroup))) {
    for (const line of readLines(join(directory, "cgroup.procs"))) pids.add(Number(line));
  }
  return [...pids];
}

/** A directory and those below, deepest last. */
function treeOf(directory: string): string[] {
  try {
    const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [directory, ...below.flatMap(({ name }) => treeOf(join(directory, name)))];
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV", "EOPNOTSUPP")) return [];
    throw error;
  }
}

/** Makes a group in every tree, where it is missing. */
export function createCgroup(cgroup: Cgroup): void {
  const { cpuset } = cgroup.controllers;
  for (const directory of directoriesOf(cgroup)) {
    const above = dirname(directory);
    mkdirSync(directory, { recursive: true });
    // Version 1 lets nobody into a set without processors and memory, and new ones have none.
    if (directory !== cpuset) continue;
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      if (readFileSync(join(directory, file), "utf8").trim() !== "") continue;
      writeFileSync(join(directory, file), readFileSync(join(above, file)));
    }
  }
}

/** Puts a process into a group, in every tree. The directories must exist. */
export function joinCgroup(cgroup: Cgroup, pid: number): void {
  for (const directory of directoriesOf(cgroup)) writeFileSync(join(directory, "cgroup.procs"), String(pid));
}

/** Stops all processes of a group, or lets them go on. Returns before the kernel is done with all of them. */
export function setCgroupFrozen({ controllers, unified }: Cgroup, frozen: boolean): void {
  if (controllers.freezer !== undefined) {
    writeFileSync(join(controllers.freezer, "freezer.state"), frozen ? "FROZEN" : "THAWED");
  } else if (unified !== undefined) writeFileSync(join(unified, "cgroup.freeze"), frozen ? "1" : "0");
  else throw failedPrecondition("the freezer controller is not mounted");
}

/**
 * Sends SIGKILL to every process of a group and below: in one step where the kernel can (version 2, Linux 5.14), else to
 * each, repeatedly until none is left that wasn't sent it.
 */
export function killCgroup(cgroup: Cgroup): void {
  const { controllers, unified } = cgroup;
  if (unified !== undefined && Object.keys(controllers).length === 0) {
    try {
      writeFileSync(join(unified, "cgroup.kill"), "1");
      return;
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
  const sent = new Set<number>();
  for (;;) {
    const fresh = cgroupProcesses(cgroup).filter((pid) => pid > 0 && !sent.has(pid));
    if (fresh.length === 0) return;
    for (const pid of fresh) {
      sent.add(pid);
      try {
        kill(pid, "SIGKILL");
      } catch (error) {
        if (!isErrno(error, "ESRCH")) throw error;
      }
    }
  }
}

/**
 * Removes a group and those below. One that doesn't exist is fine.
 *
 * @throws an fs error (EBUSY) while processes are in it, zombies not counted.
 */
export function removeCgroup(cgroup: Cgroup): void {
  for (const directory of directoriesOf(cgroup)) {
    for (const path of treeOf(directory).reverse()) {
      try {
        rmdirSync(path);
      } catch (error) {
        if (!isErrno(error, "ENOENT")) throw error;
      }
    }
  }
}
