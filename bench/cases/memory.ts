import { readdirSync, readFileSync } from "node:fs";
import type { Peer } from "../peers.ts";
import type { Sample } from "../sample.ts";

/** A figure of a process in MiB: `Pss` from smaps_rollup, `VmRSS` from status. */
export function memoryOf(pid: number, key: "Pss" | "VmRSS"): number {
  const text = readFileSync(`/proc/${pid}/${key === "Pss" ? "smaps_rollup" : "status"}`, "utf8");
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN) / 1024;
}

/** The processes whose parent is one of the shims' descent: every process that holds a container's init as its child. */
function shimsOf(inits: readonly number[]): number[] {
  const parents = inits.map((pid) => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]));
  return [...new Set(parents)];
}

/** Memory of the daemon and of a shim with `count` idle containers. */
export async function memoryCases(
  peers: { hull: Peer; containerd: Peer },
  image: string,
  count: number,
): Promise<Sample[]> {
  const daemonRss: Sample = {
    name: `daemon, ${count} containers: RSS`,
    unit: "MiB",
    hull: [],
    containerd: [],
    target: 1.2,
  };
  const daemonPss: Sample = { name: `daemon, ${count} containers: PSS`, unit: "MiB", hull: [], containerd: [] };
  const shimPss: Sample = { name: `shim, one of ${count}: PSS`, unit: "MiB", hull: [], containerd: [], target: 2 };
  for (const peer of [peers.hull, peers.containerd]) {
    for (let number = 0; number < count; number++) {
      await peer.ctr("run", "-d", "--null-io", image, `idle-${number}`, "/bin/sleep", "600");
    }
    const tasks = (await peer.ctr("tasks", "ls")).trim().split("\n").slice(1);
    const inits = tasks.map((line) => Number(line.split(/\s+/)[1]));
    // Idle means that nobody asks, and that what the last call left behind has been put away.
    await Bun.sleep(4000);
    for (const shim of shimsOf(inits)) shimPss[peer.label].push(memoryOf(shim, "Pss"));
    daemonRss[peer.label].push(memoryOf(peer.daemon.pid, "VmRSS"));
    daemonPss[peer.label].push(memoryOf(peer.daemon.pid, "Pss"));
    for (let number = 0; number < count; number++) {
      await peer.ctr("tasks", "rm", "--force", `idle-${number}`);
      await peer.ctr("containers", "rm", `idle-${number}`);
    }
  }
  return [daemonRss, daemonPss, shimPss];
}

/** True if a process of this id is there. */
export const isAlive = (pid: number): boolean => readdirSync("/proc").includes(String(pid));
