import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { packLayout, tarOfFolder, writeLayout } from "../../scripts/image.ts";
import type { Daemon } from "../support/containerd.ts";
import { containerProcesses, ctrIn, storeState } from "../support/store-state.ts";

/** Writes the layout of an image with one layer of `size` random bytes, and its archive. */
export function writeLargeImage(name: string, size: number, { layout, archive }: Record<"layout" | "archive", string>) {
  const files = `${layout}-files`;
  mkdirSync(files);
  for (let part = 0; part < 8; part++) writeFileSync(join(files, `part${part}`), randomBytes(size / 8));
  writeLayout(layout, [{ name, layers: [{ tar: tarOfFolder(files), compression: "gzip" }] }]);
  packLayout(layout, archive);
  rmSync(files, { recursive: true });
}

/** The lines that the real ctr prints. */
export async function listed(daemon: Daemon, namespace: string, ...args: string[]): Promise<string[]> {
  return (await ctrIn(daemon, namespace, ...args)).stdout.split("\n").filter(Boolean);
}

/** Takes away all that a namespace holds, as a user would: kind by kind. */
export async function removeAll(daemon: Daemon, namespace: string): Promise<void> {
  const ctr = (...args: string[]) => ctrIn(daemon, namespace, ...args);
  const names = (...args: string[]) => listed(daemon, namespace, ...args);
  for (const id of await names("tasks", "ls", "-q")) {
    await ctr("tasks", "kill", "--signal", "SIGKILL", id);
    await ctr("tasks", "rm", "--force", id);
  }
  for (const id of await names("containers", "ls", "-q")) await ctr("containers", "rm", id);
  for (const key of await names("snapshots", "ls")) {
    const [name = ""] = key.split(/\s/);
    if (!name.startsWith("sha256:") && name !== "KEY") await ctr("snapshots", "rm", name);
  }
  for (const name of await names("images", "ls", "-q")) await ctr("images", "rm", "--sync", name);
  for (const id of await names("leases", "ls", "-q")) await ctr("leases", "rm", "--sync", id);
  for (const line of await names("content", "active")) {
    const [ref = ""] = line.split(/\s/);
    if (ref !== "REF") await ctr("content", "abort", ref);
  }
}

/** Every blob has the bytes of its name, every image its blobs, every record its files and every directory its record. */
export async function expectSound(daemon: Daemon, namespace: string): Promise<void> {
  const state = await storeState(daemon, namespace);
  const blobs = state.onDisk.filter((path) => path.includes("/blobs/"));
  expect(blobs.map((path) => `sha256:${basename(path)}`)).toEqual(state.content);
  for (const path of blobs)
    expect(new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex")).toBe(basename(path));
  for (const line of (await listed(daemon, namespace, "images", "check")).slice(1)) expect(line).toContain("complete");
  // An ingest whose writer was killed before its first byte has a directory, but nothing to go on with.
  const ingests = state.onDisk.filter((path) => path.includes("/ingest/") && existsSync(join(path, "data")));
  const snapshots = state.onDisk.filter((path) => path.includes("/snapshots/"));
  expect({ ingests: ingests.length, snapshots: snapshots.length }).toEqual({
    ingests: state.ingests.length,
    snapshots: state.snapshots.length,
  });
  expect(state.temporary).toEqual([]);
  const tasks = await listedTasks(daemon, namespace);
  for (const { id, pid, status } of tasks) {
    expect(state.containers).toContain(id);
    const running = containerProcesses(namespace, id);
    if (status === "STOPPED") expect(running).toEqual([]);
    // One that ended by itself since the list was made is soon known to have.
    if (status === "RUNNING" && !running.includes(pid))
      await eventually(async () => {
        const now = (await listedTasks(daemon, namespace)).find((task) => task.id === id);
        expect({ id, pid, status: now?.status }).toEqual({ id, pid, status: "STOPPED" });
      });
  }
  const known = new Set(tasks.map(({ id }) => id));
  for (const path of state.bundles) expect(known).toContain(basename(path));
  for (const path of state.cgroups) expect(known).toContain(basename(path));
}

/** What `ctr tasks ls` says of each. */
async function listedTasks(daemon: Daemon, namespace: string): Promise<{ id: string; pid: number; status: string }[]> {
  const lines = (await listed(daemon, namespace, "tasks", "ls")).slice(1);
  return lines.map((line) => {
    const [id = "", pid = "", status = ""] = line.split(/\s+/);
    return { id, pid: Number(pid), status };
  });
}

/** Tries until it doesn't throw, for five seconds; what happens in other processes has no event for a test. */
export async function eventually<T>(attempt: () => T, pauseMs = 20): Promise<T> {
  const end = Date.now() + 30_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
      await Bun.sleep(pauseMs);
    }
  }
}
