/**
 * Control groups that the OCI runtime has left behind.
 *
 * runc gives the processes of a group a third of a second to be gone; after that it forgets the container all the same, and knows nothing of it
 * when it is asked again. Nor does it know a container that it was only making when it was killed. The groups would stay for good.
 */

import { processEnd } from "@hull/sys/watch";
import { type CgroupPaths, cgroupPaths, readText } from "./cgroup.ts";
import { removed } from "./runtime-record.ts";

/** How long processes that were killed are waited for. */
const patienceMs = 2000;

/** Removes what is left of a container's groups, which may take until their last processes are gone. Those that others use stay. */
export async function removeLeftGroups(groups: CgroupPaths): Promise<void> {
  // Where a hierarchy has no group for the container, it is where this process is.
  const own = new Set(directoriesOf(cgroupPaths(readText("/proc/self/cgroup"))));
  const left = new Set(directoriesOf(groups).filter((directory) => !own.has(directory)));
  const signal = AbortSignal.timeout(patienceMs);
  await Promise.all(Array.from(left, (directory) => removeOnceEmpty(directory, signal)));
}

const directoriesOf = ({ v1, v2 }: CgroupPaths): string[] => [...v1.values(), ...(v2 === undefined ? [] : [v2])];

async function removeOnceEmpty(directory: string, signal: AbortSignal): Promise<void> {
  const seen = new Set<string>();
  while (!removed(directory) && !signal.aborted) {
    const pids = readText(`${directory}/cgroup.procs`).split("\n").filter(Boolean);
    const fresh = pids.filter((pid) => !seen.has(pid));
    if (fresh.length === 0) return;
    for (const pid of fresh) seen.add(pid);
    await Promise.all(fresh.map((pid) => processEnd(Number(pid), { signal }).catch(() => undefined)));
  }
}
