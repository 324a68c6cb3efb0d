import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupAt, cgroupProcesses } from "@hull/sys/cgroup";
import { mountInfo } from "@hull/sys/mount";
import type { Daemon } from "./containerd.ts";
import { runProgram } from "./process.ts";

/** All that a daemon holds, in its records and on the machine, as sorted texts that can be compared. */
export interface StoreState {
  images: string[];
  containers: string[];
  tasks: string[];
  leases: string[];
  content: string[];
  ingests: string[];
  snapshots: string[];
  /** Files of blobs, directories of ingests and snapshots. */
  onDisk: string[];
  /** Directories of tasks, of the shims and of the OCI runtime. */
  bundles: string[];
  mounts: string[];
  /** Command lines of processes of this daemon's, without itself, shims that wait for work, and what brings written files to the disk. */
  processes: string[];
  cgroups: string[];
  temporary: string[];
}

/** Lists what a daemon holds in one namespace, after its collector has run. */
export async function storeState(daemon: Daemon, namespace: string): Promise<StoreState> {
  await collect(daemon, namespace);
  const names = async (...args: string[]): Promise<string[]> => {
    const { stdout, stderr, status } = await ctrIn(daemon, namespace, ...args);
    if (status !== 0) throw new Error(`ctr ${args.join(" ")}: ${stderr}`);
    return stdout.split("\n").filter(Boolean).sort();
  };
  const first = async (...args: string[]) => (await names(...args)).map((line) => line.split(/\s/)[0] ?? "");
  const { root, state } = daemon;
  const store = join(root, "io.containerd.content.v1.content");
  const [images, containers, tasks, leases, content, ingests, snapshots] = await Promise.all([
    names("images", "ls", "-q"),
    names("containers", "ls", "-q"),
    names("tasks", "ls", "-q"),
    names("leases", "ls", "-q"),
    names("content", "ls", "-q"),
    first("content", "active"),
    first("snapshots", "ls"),
  ]);
  return {
    images,
    containers,
    tasks,
    leases,
    content,
    ingests: ingests.filter((name) => name !== "REF"),
    snapshots: snapshots.filter((name) => name !== "KEY"),
    onDisk: [
      join(store, "blobs", "sha256"),
      join(store, "ingest"),
      join(root, "io.containerd.snapshotter.v1.overlayfs", "snapshots"),
    ].flatMap(entries),
    bundles: [
      join(state, "io.containerd.runtime.v2.task", namespace),
      join(root, "io.containerd.runtime.v2.task", namespace),
      join(state, "runc", namespace),
    ].flatMap(entries),
    mounts: mountsBelow(root, state),
    processes: processesOf(daemon),
    cgroups: cgroupsOf(namespace),
    temporary: entries(join(root, "tmp")),
  };
}

/** The real ctr in a namespace of the daemon's. */
export function ctrIn(daemon: Daemon, namespace: string, ...args: string[]) {
  return runProgram(["ctr", "--address", daemon.address, "--namespace", namespace, ...args]);
}

/** Waits for a collection: that of a lease that is deleted with it. */
async function collect(daemon: Daemon, namespace: string): Promise<void> {
  await ctrIn(daemon, namespace, "leases", "create", "--id", "collect");
  await ctrIn(daemon, namespace, "leases", "rm", "--sync", "collect");
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory)
      .sort()
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

function mountsBelow(...directories: string[]): string[] {
  return mountInfo()
    .map(({ target }) => target)
    .filter((target) => directories.some((directory) => target.startsWith(`${directory}/`)))
    .sort();
}

function processesOf({ root, state, pid }: Daemon): string[] {
  return [root, state]
    .flatMap((directory) => processesBelow(directory))
    .filter((found) => found.pid !== pid && !/ spare$| (sync|checkpoint-metadata) \//.test(found.line))
    .map(({ line }) => line)
    .sort();
}

/** Processes whose command line names something below a directory. */
export function processesBelow(directory: string): { pid: number; line: string }[] {
  const found: { pid: number; line: string }[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (line.includes(`${directory}/`)) found.push({ pid: Number(name), line });
    } catch {
      // Ended meanwhile.
    }
  }
  return found;
}

/** The control groups that containers of the namespace have, whatever the hierarchy. */
function cgroupsOf(namespace: string): string[] {
  const mount = "/sys/fs/cgroup";
  return entries(mount)
    .flatMap((hierarchy) => directoriesIn(join(hierarchy, namespace)))
    .concat(directoriesIn(join(mount, namespace)))
    .sort();
}

function directoriesIn(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(directory, name));
  } catch {
    return [];
  }
}

/** Processes in a container's control group, by the namespace and id that its path has. */
export function containerProcesses(namespace: string, id: string): number[] {
  return cgroupProcesses(cgroupAt(`/${namespace}/${id}`));
}
