/**
 * The control group that a client wants the shim itself in (`shim_cgroup` of the runtime options), so that what it takes is accounted there.
 * The shim goes back to where it was when its last container is gone: it may be used again.
 */

import { existsSync } from "node:fs";
import { unknown } from "@hull/errors";
import { type Cgroup, cgroupAt, cgroupOf, joinCgroup } from "@hull/sys/cgroup";

/** Moves the shim's process. One per process. */
export class ShimCgroup {
  #original: Cgroup | undefined;

  /** @param path below each hierarchy's mount; the group must be there. @throws Unknown if the shim can't be moved there */
  join(path: string): void {
    const original = this.#original ?? cgroupOf("self");
    const group = present(cgroupAt(path));
    if (group === undefined) throw unknown(`failed to load cgroup ${path}: cgroups: cgroup deleted`);
    try {
      joinCgroup(group, process.pid);
    } catch (cause) {
      throw unknown(`failed to join cgroup ${path}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
    this.#original = original;
  }

  /** Goes back, if it was ever moved. */
  leave(): void {
    if (this.#original === undefined) return;
    const group = present(this.#original);
    this.#original = undefined;
    if (group !== undefined) joinCgroup(group, process.pid);
  }
}

/** The hierarchies in which the group exists; undefined if it is in none. */
function present({ controllers, unified }: Cgroup): Cgroup | undefined {
  const there = Object.fromEntries(Object.entries(controllers).filter(([, directory]) => existsSync(directory)));
  const both = unified !== undefined && existsSync(unified) ? { controllers: there, unified } : { controllers: there };
  return Object.keys(there).length > 0 || "unified" in both ? both : undefined;
}
