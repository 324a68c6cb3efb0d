/**
 * Sparing the OCI runtime the kernel's wait before it may put a process into a cgroup.
 *
 * Writing to `cgroup.procs` takes a lock against forks and exits which is made for readers: the first writer waits for an RCU grace period,
 * about 10 ms, a third of what `runc create` takes. Those that follow within another such period don't wait. So while the runtime starts up,
 * the lock is taken once for nothing: this process is moved to the cgroup that it is in.
 *
 * Source: `cgroup_threadgroup_rwsem` in kernel/cgroup/cgroup.c and kernel/rcu/sync.c; hosts whose cgroups are mounted with `favordynmods`
 * never wait (Documentation/admin-guide/cgroup-v2.rst), and lose nothing by this.
 */

import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cgroupOf } from "@hull/sys/cgroup";

/** When it is taken again, for a runtime that takes longer to get there. */
const againMs = 8;

/** Where this process's cgroup is: looked up anew when it was moved. */
let known: { text: string; file: string | undefined } | undefined;

/** Makes the next migrations quick, for about 30 ms. Resolves when it is done with; failing means no more than that they aren't. */
export async function expectCgroupMigration(): Promise<void> {
  try {
    await takeLock();
    await new Promise((resolve) => setTimeout(resolve, againMs));
    await takeLock();
  } catch {
    // No cgroups, or none that may be written to.
  }
}

async function takeLock(): Promise<void> {
  const file = ownProcesses();
  if (file === undefined) return;
  // "0" is the writer. The second time makes the kernel begin another period, in which nobody waits.
  await writeFile(file, "0");
  await writeFile(file, "0");
}

function ownProcesses(): string | undefined {
  const text = readFileSync("/proc/self/cgroup", "utf8");
  if (known?.text !== text) {
    const { unified, controllers } = cgroupOf("self");
    // The lock is one for all hierarchies: any will do.
    const directory = unified ?? controllers.freezer ?? Object.values(controllers)[0];
    known = { text, file: directory === undefined ? undefined : join(directory, "cgroup.procs") };
  }
  return known?.file;
}
