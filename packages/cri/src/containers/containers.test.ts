import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContainerState, LinuxContainerResources, Signal } from "@hull/api/gen/cri/v1/cri";
import { contextFor } from "@hull/engine/context";
import { criNamespace } from "../model.ts";
import { passingLease } from "./context.ts";
import { ContainersFixture } from "./fixture.ts";

const { CONTAINER_CREATED, CONTAINER_EXITED, CONTAINER_RUNNING, CONTAINER_UNKNOWN } = ContainerState;
const ctx = contextFor(criNamespace);

describe("a container", () => {
  test("from its creation to its removal, with the events of it", async () => {
    await using fixture = new ContainersFixture();
    const { containers, metadata } = fixture;
    const id = await fixture.make("c", { labels: { a: "b" } });
    expect(await fixture.status(id)).toMatchObject({ state: CONTAINER_CREATED, startedAt: 0n, finishedAt: 0n });
    const record = await metadata.stores.containers.get(ctx, id);
    expect(record).toMatchObject({
      labels: { a: "b", image: "1", "io.cri-containerd.kind": "container" },
      image: "docker.io/library/busybox:latest",
      snapshotKey: id,
      sandbox: fixture.pod.id,
    });
    await containers.start(id.slice(0, 12));
    expect(await fixture.status(id)).toMatchObject({ state: CONTAINER_RUNNING, reason: "", finishedAt: 0n });
    fixture.end(id, 0);
    await containers.stop(id, 0);
    expect(await fixture.status(id)).toMatchObject({ state: CONTAINER_EXITED, reason: "Completed", finishedAt: 99n });
    await containers.remove(id);
    await containers.remove(id);
    expect(fixture.snapshots.size).toBe(0);
    expect(readdirSync(join(fixture.folder, "root"))).toEqual([]);
    await expect(metadata.stores.containers.get(ctx, id)).rejects.toMatchObject({ code: "notFound" });
    await expect(fixture.status(id)).rejects.toThrow(`an error occurred when try to find container "${id}"`);
    const what = ["CREATED", "STARTED", "STOPPED", "DELETED"].map((step) => `CONTAINER_${step}_EVENT c`);
    expect(fixture.events).toEqual(what);
    // Its name is free again.
    await fixture.make("c");
  });

  test("that can't be made leaves nothing, and its name free", async () => {
    await using fixture = new ContainersFixture();
    for (const step of ["spec", "prepare"]) {
      fixture.failing.set(step, new Error(`no ${step}`));
      await expect(fixture.make("c")).rejects.toThrow(`no ${step}`);
    }
    await expect(fixture.make("c", { image: { image: "gone" } as never })).rejects.toMatchObject({ code: "notFound" });
    fixture.pod.state = "notReady";
    await expect(fixture.make("c")).rejects.toThrow(`sandbox container "${fixture.pod.id}" is not running`);
    fixture.pod.state = "ready";
    expect(fixture.snapshots.size).toBe(0);
    expect(await fixture.metadata.stores.containers.list(ctx)).toEqual([]);
    expect(await fixture.metadata.stores.leases.list(ctx)).toEqual([]);
    expect(readdirSync(join(fixture.folder, "root"))).toEqual([]);
    await fixture.make("c");
    await expect(fixture.make("c")).rejects.toThrow('failed to reserve container name "c_p_n_u_0"');
  });

  test("that was being made when the daemon ended leaves nothing after the next start", async () => {
    await using fixture = new ContainersFixture();
    const { leases } = fixture.metadata.stores;
    const made = await fixture.make("c");
    for (const id of [made, "half"]) {
      await leases.create(ctx, id, passingLease);
      await leases.addResource(ctx, id, { type: "snapshots/overlayfs", id });
    }
    await leases.create(ctx, "another's", {});
    fixture.snapshots.add("half");
    await fixture.restart();
    expect([...fixture.snapshots]).toEqual([made]);
    expect((await leases.list(ctx)).map(({ id }) => id)).toEqual(["another's"]);
  });

  test("that can't be started has ended, and says why", async () => {
    await using fixture = new ContainersFixture();
    for (const [step, text] of [
      ["create", "failed to create containerd task: no create"],
      ["start", "failed to start containerd task"],
    ] as const) {
      const id = await fixture.make(step);
      fixture.failing.set(step, new Error(`no ${step}`));
      await expect(fixture.containers.start(id)).rejects.toThrow(text);
      const status = await fixture.status(id);
      expect(status).toMatchObject({ state: CONTAINER_EXITED, exitCode: 128, reason: "StartError" });
      expect(status.message).toContain(text);
      expect(fixture.tasks.size).toBe(0);
      await expect(fixture.containers.start(id)).rejects.toThrow("container is in CONTAINER_EXITED state");
      await fixture.containers.remove(id);
    }
  });

  test("is asked to stop once, by its own signal, and then killed", async () => {
    await using fixture = new ContainersFixture();
    const id = await fixture.make("c", { start: true, stopSignal: Signal.SIGNAL_SIGUSR1 });
    const { signals } = fixture.tasks.get(id) ?? { signals: [] };
    const first = fixture.containers.stop(id, 60_000);
    await fixture.containers.stop(id, 20);
    await first;
    expect(signals).toEqual([10, 9]);
    expect(await fixture.status(id)).toMatchObject({ exitCode: 137, reason: "Error", state: CONTAINER_EXITED });
  });

  test("whose caller leaves goes on", async () => {
    await using fixture = new ContainersFixture();
    const id = await fixture.make("c", { start: true });
    const leaving = AbortSignal.timeout(10);
    await expect(fixture.containers.stop(id, 60_000, leaving)).rejects.toThrow();
    expect((await fixture.status(id)).state).toBe(CONTAINER_RUNNING);
  });

  test("that the kernel killed for its memory says so, whether that is told before its end or not at all", async () => {
    await using fixture = new ContainersFixture();
    const [told, untold] = [await fixture.make("a", { start: true }), await fixture.make("b", { start: true })];
    fixture.containers.noteOutOfMemory({ containerId: told });
    fixture.end(told, 137);
    await fixture.containers.stop(told, 0);
    fixture.oomKills = 1n;
    fixture.end(untold, 137);
    await fixture.containers.stop(untold, 0);
    for (const id of [told, untold])
      expect(await fixture.status(id)).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
  });

  test("has other limits, unless they can't be set", async () => {
    await using fixture = new ContainersFixture();
    const id = await fixture.make("c", { start: true });
    const limit = (memoryLimitInBytes: bigint) => LinuxContainerResources.fromPartial({ memoryLimitInBytes });
    await fixture.containers.updateResources(id, limit(64n));
    expect(JSON.parse(fixture.tasks.get(id)?.resources[0] ?? "")).toMatchObject({ memory: { limit: 64 } });
    fixture.failing.set("update", new Error("too little"));
    await expect(fixture.containers.updateResources(id, limit(1n))).rejects.toThrow("too little");
    expect((await fixture.status(id)).resources?.linux?.memoryLimitInBytes).toBe(64n);
    const { spec } = await fixture.metadata.stores.containers.get(ctx, id);
    expect(JSON.parse(new TextDecoder().decode(spec.value)).linux.resources.memory.limit).toBe(64);
  });

  test("is in lists that ask for such", async () => {
    await using fixture = new ContainersFixture();
    const a = await fixture.make("a", { labels: { x: "1" } });
    const b = await fixture.make("b", { start: true });
    const ids = (filter: object) =>
      fixture.containers
        .list({ id: "", state: undefined, podSandboxId: "", labelSelector: {}, ...filter })
        .map(({ id }) => id);
    expect(ids({})).toEqual([a, b]);
    expect(ids({ id: a.slice(0, 10) })).toEqual([a]);
    expect(ids({ state: { state: CONTAINER_RUNNING } })).toEqual([b]);
    expect(ids({ labelSelector: { x: "1" } })).toEqual([a]);
    expect(ids({ labelSelector: { toString: "1" } })).toEqual([]);
    expect(ids({ podSandboxId: "other" })).toEqual([]);
  });
});

describe("after a restart", () => {
  test("containers are as they were, and as their tasks have become", async () => {
    await using fixture = new ContainersFixture();
    const created = await fixture.make("created");
    const running = await fixture.make("running", { start: true });
    const ended = await fixture.make("ended", { start: true });
    const lost = await fixture.make("lost", { start: true });
    const done = await fixture.make("done", { start: true });
    fixture.end(done, 3);
    await fixture.containers.stop(done, 0);
    fixture.containers.close();
    fixture.end(ended, 7);
    fixture.tasks.delete(lost);
    const before = await fixture.status(done);
    await fixture.restart();
    expect(await fixture.status(done)).toEqual(before);
    expect(await fixture.status(created)).toMatchObject({ state: CONTAINER_CREATED });
    expect(await fixture.status(running)).toMatchObject({ state: CONTAINER_RUNNING });
    expect(await fixture.status(ended)).toMatchObject({ state: CONTAINER_EXITED, exitCode: 7, reason: "Error" });
    expect(await fixture.status(lost)).toMatchObject({ state: CONTAINER_EXITED, exitCode: 255, reason: "Unknown" });
    await expect(fixture.make("running")).rejects.toThrow("failed to reserve container name");
    fixture.end(running, 0);
    await fixture.containers.stop(running, 0);
    expect(await fixture.status(running)).toMatchObject({ state: CONTAINER_EXITED, reason: "Completed" });
    await fixture.containers.start(created);
    for (const id of [created, running, ended, lost, done]) await fixture.containers.remove(id);
    expect(fixture.snapshots.size).toBe(0);
  });

  test("one that stood still for a checkpoint goes on, one that was paused doesn't", async () => {
    await using fixture = new ContainersFixture();
    const [dumped, paused] = [
      await fixture.make("dumped", { start: true }),
      await fixture.make("paused", { start: true }),
    ];
    for (const id of [dumped, paused]) Object.assign(fixture.tasks.get(id) ?? {}, { state: "paused" });
    const directory = join(fixture.folder, "root", dumped, "ctrd-checkpoint");
    mkdirSync(directory);
    await fixture.restart();
    expect([dumped, paused].map((id) => fixture.tasks.get(id)?.state)).toEqual(["running", "paused"]);
    expect(existsSync(directory)).toBe(false);
    expect(await fixture.status(dumped)).toMatchObject({ state: CONTAINER_RUNNING });
  });

  test("one that was being started is made still, and one of which only contradictions are known can be stopped", async () => {
    await using fixture = new ContainersFixture();
    const starting = await fixture.make("starting", { start: true });
    const { state } = fixture.tasks.get(starting) ?? {};
    expect(state).toBe("running");
    // The status was not written before the daemon ended.
    const file = join(fixture.folder, "root", starting, "status");
    rmSync(file);
    const odd = await fixture.make("odd", { start: true });
    const oddFile = join(fixture.folder, "root", odd, "status");
    writeFileSync(oddFile, '{"Version":"v1","CreatedAt":1,"StartedAt":2,"FinishedAt":3}');
    const orphan = join(fixture.folder, "root", "orphan");
    writeFileSync(orphan, "");
    await fixture.restart();
    expect(existsSync(orphan)).toBe(false);
    expect(await fixture.status(starting)).toMatchObject({ state: CONTAINER_RUNNING });
    expect(await fixture.status(odd)).toMatchObject({ state: CONTAINER_UNKNOWN });
    await fixture.containers.stop(odd, 1000);
    expect(await fixture.status(odd)).toMatchObject({ state: CONTAINER_EXITED });
    await fixture.containers.remove(odd);
  });
});
