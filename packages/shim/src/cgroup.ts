/**
 * The cgroup of a container: where it is and its processes.
 *
 * Version 1 has a hierarchy per controller, version 2 one for all. Which directories they are comes from the text of
 * /proc/<pid>/cgroup (cgroups(7)) of the container's first process, read while it lives.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mountInfo } from "@hull/sys/mount";
import type { MountInfo } from "@hull/sys/mount-info";

/** Directories of a container's cgroup. */
export interface CgroupPaths {
  /** By controller, or `name=…`. Empty on a host with version 2 alone. */
  readonly v1: ReadonlyMap<string, string>;
  /** The unified hierarchy's; undefined where it isn't mounted. */
  readonly v2: string | undefined;
}

let hierarchies: readonly MountInfo[] | undefined;

/** Where the directories are. @param text of /proc/<pid>/cgroup: `id:controller,…:path` a line, `0::path` for version 2 */
export function cgroupPaths(text: string): CgroupPaths {
  const v1 = new Map<string, string>();
  let v2: string | undefined;
  // Hosts don't move their hierarchies, and reading all mounts takes longer than the rest.
  hierarchies ??= mountInfo().filter(({ type }) => type === "cgroup" || type === "cgroup2");
  const mounts = hierarchies;
  for (const line of text.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    if (controllers === "") {
      const place = mounts.find(({ type }) => type === "cgroup2");
      if (place !== undefined) v2 = join(place.target, path);
      continue;
    }
    for (const controller of controllers.split(",")) {
      const has = (options: readonly string[]) => options.includes(controller);
      const place = mounts.find(({ type, superOptions }) => type === "cgroup" && has(superOptions));
      if (place !== undefined) v1.set(controller, join(place.target, path));
    }
  }
  return { v1, v2 };
}

/** The directory that accounts memory, or pids: any hierarchy that has this container apart. */
export function mainDirectory({ v1, v2 }: CgroupPaths): string | undefined {
  return v1.get("memory") ?? v1.get("pids") ?? v1.get("devices") ?? v2;
}

/** All processes of a cgroup and those below it. */
export function processesOf(directory: string): number[] {
  const pids = numbers(readText(join(directory, "cgroup.procs")));
  for (const child of childDirectories(directory)) pids.push(...processesOf(join(directory, child)));
  return pids;
}

/** A file's text, empty if it isn't there. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** Lines of `key number`; anything else is passed over. */
export function keyValues(text: string): Map<string, bigint> {
  const values = new Map<string, bigint>();
  for (const line of text.split("\n")) {
    const [, key, value] = /^(\S+) (\d+)$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) values.set(key, BigInt(value));
  }
  return values;
}

function numbers(text: string): number[] {
  return text.split("\n").filter(Boolean).map(Number);
}

function childDirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return []; // removed meanwhile
  }
}
