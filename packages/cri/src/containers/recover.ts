import { readdir, rm } from "node:fs/promises";
import { nowNanos } from "@hull/api/timestamp";
import type { Container } from "@hull/engine/containers/index";
import { unlessGone } from "@hull/engine/unless-gone";
import { HullError, unknown } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import type { ContainerRun, PodContainer } from "../model.ts";
import { kindLabel } from "../records/index.ts";
import { containerUser, resourcesOfSpec } from "../spec/index.ts";
import { giveUpCheckpoint } from "./checkpoint.ts";
import { type ContainersContext, passingLease } from "./context.ts";
import { unknownExit, watchExit } from "./exit.ts";
import { containerOfRecord } from "./record.ts";
import { newRun, readRun } from "./run-file.ts";
import { streamsOf } from "./streams.ts";

const SIGKILL = 9;

/**
 * Finds the containers of an earlier run again, with their tasks: those that ended meanwhile have ended, those whose task nobody knows any
 * more with status 255. Directories that belong to none are removed, and what was being made. One that can't be read is told of, and left out.
 */
export async function recoverContainers(of: ContainersContext): Promise<void> {
  const { records, log } = of.options;
  const found = await records.list(of.engine, [`labels."${kindLabel}"==container`]);
  await Promise.all(
    found.map(async (record) => {
      try {
        await recover(of, record);
      } catch (error) {
        log.log("error", "Failed to load container", { container: record.id, error: HullError.from(error).message });
      }
    }),
  );
  const known = new Set(found.map(({ id }) => id));
  for (const base of [of.options.root, of.options.state]) {
    for (const name of await readdir(base).catch(() => []))
      if (!known.has(name)) await rm(`${base}/${name}`, { recursive: true, force: true });
  }
  await forgetPassing(of, known);
}

/** Ends the leases of what was being made, of which nobody will. Its snapshots are gone at once: the collector has run by now. */
async function forgetPassing({ options, engine }: ContainersContext, known: ReadonlySet<string>): Promise<void> {
  const { leases, snapshotters, log } = options;
  for (const { id } of await leases.list(engine, [`labels."${kindLabel}"==${passingLease[kindLabel]}`])) {
    const resources = await leases.listResources(engine, id);
    const snapshots = resources.filter(({ type, id: key }) => type.startsWith("snapshots/") && !known.has(key));
    for (const { type, id: key } of snapshots) {
      const snapshotter = snapshotters.get(type.slice("snapshots/".length));
      await unlessGone(async () => snapshotter?.remove(engine, key)).catch((error: unknown) => {
        const fields = { snapshot: key, error: HullError.from(error).message };
        log.log("debug", "a snapshot of what was being made is left to the collector", fields);
      });
    }
    await unlessGone(() => leases.delete(engine, id));
  }
}

async function recover(of: ContainersContext, record: Container): Promise<void> {
  const { containers, log } = of.options;
  const known = containerOfRecord(record);
  const spec = JSON.parse(new TextDecoder().decode(record.spec.value)) as Spec;
  const container: PodContainer = {
    ...known,
    mounts: known.config.mounts,
    user: containerUser(spec.process.user),
    place: { cgroupsPath: spec.linux.cgroupsPath, snapshotter: record.snapshotter, snapshotKey: record.snapshotKey },
    status: lastRun(of, record, spec),
  };
  containers.reserveName(container.name, container.id);
  containers.add(container);
  try {
    await follow(of, container);
  } catch (error) {
    log.log("error", "Failed to load container status", { container: record.id, error: HullError.from(error).message });
    container.status = { ...container.status, state: "unknown" };
  }
  if (container.status.state === "exited") of.live.of(container.id).markStopped();
}

/** As it was written; a container whose file never came to be was made and no more. */
function lastRun(of: ContainersContext, { id, createdAt }: Container, spec: Spec): ContainerRun {
  try {
    return readRun(of.root(id));
  } catch (error) {
    of.options.log.log("warn", "a container's status could not be read", { id, error: HullError.from(error).message });
    return newRun(createdAt, resourcesOfSpec(spec));
  }
}

/** Whether hull's own shim keeps its streams; the daemon has to for others. */
function ownShim({ options: { handlers, pods } }: ContainersContext, { podId }: PodContainer): boolean {
  return handlers.get(pods.get(podId).runtimeHandler).own;
}

/** Brings what is known of a container in line with its task. @throws Unknown if they contradict each other */
async function follow(of: ContainersContext, container: PodContainer): Promise<void> {
  const { tasks } = of.options;
  const { id, status } = container;
  const task = await unlessGone(() => tasks.get(of.engine, id));
  const lost = { state: "exited", pid: 0, finishedAt: nowNanos(), exitCode: unknownExit, reason: "Unknown" } as const;
  switch (task?.status) {
    case undefined:
      if (status.state === "running") of.save(container, lost);
      return;
    case "created":
      // The daemon ended while it started the container.
      await unlessGone(() => tasks.kill(of.engine, id, { signal: SIGKILL, all: true }));
      await unlessGone(() => tasks.wait(of.engine, id));
      await unlessGone(() => tasks.delete(of.engine, id));
      if (status.state !== "created") throw unknown(`unexpected container state for created task: "${status.state}"`);
      return;
    case "running":
    case "paused":
    case "pausing":
      if (status.state === "exited") throw unknown(`unexpected container state for running task: "${status.state}"`);
      if (status.state !== "running") of.save(container, { state: "running", startedAt: nowNanos(), pid: task.pid });
      if (!ownShim(of, container)) streamsOf(of, container);
      watchExit(of, container, tasks.wait(of.engine, id));
      await giveUpCheckpoint(of, id);
      return;
    case "stopped":
      of.save(container, {
        state: "exited",
        pid: 0,
        startedAt: status.startedAt === 0n ? (task.exitedAt ?? nowNanos()) : status.startedAt,
        finishedAt: task.exitedAt ?? nowNanos(),
        exitCode: task.exitStatus,
      });
      await unlessGone(() => tasks.delete(of.engine, id));
      return;
    case "unknown":
      throw unknown(`unexpected task status "${task.status}"`);
  }
}
