import { describe, expect, test } from "bun:test";
import { Metrics as Metrics1 } from "@hull/api/gen/cgroups/v1/metrics";
import { Metrics as Metrics2 } from "@hull/api/gen/cgroups/v2/metrics";
import { ContainerStatsFilter, PodSandboxStatsFilter } from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import { encodeAny } from "@hull/api/typeurl";
import type { TypedBytes } from "@hull/engine/labels";
import { cgroupAt, createCgroup, removeCgroup } from "@hull/sys/cgroup";
import { FakeGroups } from "./fake-groups.ts";
import { container, pod, statsOver } from "./testing.ts";

const second = 1_000_000_000n;
const isRoot = process.getuid?.() === 0;

describe.each([1, 2] as const)("stats by control groups of version %i", (version) => {
  const use = {
    cpuNs: 5_000_000_000,
    memory: 1000,
    limit: 5000,
    inactiveFile: 300,
    swap: 10,
    swapLimit: 100,
    tasks: 3,
  };

  test("a container's", async () => {
    using fake = new FakeGroups(version);
    fake.write("p/a", use);
    const startedAt = nowNanos() - 10n * second;
    const { stats } = statsOver([pod("p")], [container("a", "p", { startedAt })], fake);
    const { attributes, cpu, memory, swap, io, writableLayer } = await stats.containerStats("a");
    expect(attributes).toEqual({
      id: "a",
      metadata: { name: "a", attempt: 0 },
      labels: { container: "a" },
      annotations: {},
    });
    expect(cpu?.usageCoreNanoSeconds).toEqual({ value: 5n * second });
    expect(Number(cpu?.usageNanoCores?.value)).toBeCloseTo(0.5e9, -8);
    expect(memory).toMatchObject({
      usageBytes: { value: 1000n },
      workingSetBytes: { value: 700n },
      availableBytes: { value: 4300n },
      rssBytes: { value: 100n },
      pageFaults: { value: 11n },
      majorPageFaults: { value: 3n },
    });
    expect(swap).toMatchObject({ swapUsageBytes: { value: 10n }, swapAvailableBytes: { value: 90n } });
    expect(writableLayer).toMatchObject({
      usedBytes: { value: 4096n },
      inodesUsed: { value: 2n },
      fsId: { mountpoint: "/" },
    });
    const line = { Avg10: 1.5, Avg60: 0.25, Avg300: 0 };
    const psi = (Total: bigint) => (version === 1 ? undefined : { Full: { ...line, Total }, Some: { ...line, Total } });
    expect(cpu?.psi).toEqual(psi(second));
    expect(memory?.psi).toEqual(psi(2n * second));
    expect(io?.psi).toEqual(psi(3n * second));
  });

  test("without limits", async () => {
    using fake = new FakeGroups(version);
    fake.write("p/a", { memory: 1000, inactiveFile: 2000 });
    const { stats } = statsOver([pod("p")], [container("a", "p")], fake);
    const { memory, swap } = await stats.containerStats("a");
    expect(memory).toMatchObject({ workingSetBytes: { value: 0n }, availableBytes: { value: 0n } });
    expect(swap).toMatchObject({ swapUsageBytes: { value: 0n }, swapAvailableBytes: undefined });
  });

  test("of containers that don't run, are gone or unknown", async () => {
    using fake = new FakeGroups(version);
    fake.write("p/a", use);
    const { stats, containers } = statsOver(
      [pod("p")],
      [container("a", "p", { state: "exited" }), container("b", "p")],
      fake,
    );
    const all = await stats.listContainerStats(undefined);
    expect(all.map(({ attributes, cpu, memory }) => [attributes?.id, cpu, memory])).toEqual([
      ["a", undefined, undefined],
      ["b", undefined, undefined],
    ]);
    expect(all[0]?.writableLayer?.usedBytes?.value).toBe(4096n);
    await expect(stats.containerStats("a")).rejects.toMatchObject({
      code: "unknown",
      message: "unexpected metrics response: []",
    });
    await expect(stats.containerStats("c")).rejects.toMatchObject({
      code: "notFound",
      message: "failed to find container",
    });
    containers.remove("a");
    expect(await stats.listContainerStats(undefined)).toHaveLength(1);
  });

  test("of one that can't be told of, beside the others", async () => {
    using fake = new FakeGroups(version);
    fake.write("p/a", use);
    const warnings: string[] = [];
    const { stats } = statsOver([pod("p")], [container("bad", "p"), container("a", "p")], {
      ...fake,
      cgroupOf: ({ id, podId }) => {
        if (id === "bad") throw new Error("no spec");
        return `/${podId}/${id}`;
      },
      layerDirectory: () => {
        throw new Error("no such runtime");
      },
      warn: (message) => warnings.push(message),
    });
    const all = await stats.listContainerStats(undefined);
    expect(all.map(({ cpu, writableLayer }) => [cpu === undefined, writableLayer?.fsId?.mountpoint])).toEqual([
      [true, ""],
      [false, ""],
    ]);
    expect(warnings).toEqual(['can\'t tell what container "bad" uses']);
  });

  test("filtered by id, pod and labels", async () => {
    using fake = new FakeGroups(version);
    const pods = [pod("pod1"), pod("pod2")];
    const containers = [container("abc", "pod1"), container("abd", "pod1"), container("xyz", "pod2")];
    const { stats } = statsOver(pods, containers, fake);
    const ids = async (filter: Parameters<typeof ContainerStatsFilter.fromPartial>[0]) =>
      (await stats.listContainerStats(ContainerStatsFilter.fromPartial(filter))).map(
        ({ attributes }) => attributes?.id,
      );
    expect(await ids({})).toEqual(["abc", "abd", "xyz"]);
    expect(await ids({ id: "x" })).toEqual(["xyz"]);
    expect(await ids({ id: "ab" })).toEqual([]);
    expect(await ids({ podSandboxId: "pod1" })).toEqual(["abc", "abd"]);
    expect(await ids({ podSandboxId: "pod1", labelSelector: { container: "abd" } })).toEqual(["abd"]);
    expect(await ids({ labelSelector: { container: "abd", other: "" } })).toEqual([]);
    const pod2 = await stats.listPodStats(PodSandboxStatsFilter.fromPartial({ labelSelector: { pod: "pod2" } }));
    expect(pod2.map(({ attributes }) => attributes?.id)).toEqual(["pod2"]);
    expect(await stats.listPodStats(PodSandboxStatsFilter.fromPartial({ id: "pod1" }))).toHaveLength(1);
  });

  test("a pod's, from the group around its containers", async () => {
    using fake = new FakeGroups(version);
    fake.write("kubepods/p", { ...use, cpuNs: 7_000_000_000 });
    fake.write("p/a", use);
    fake.write("p/b", use);
    const { stats } = statsOver(
      [pod("p", { cgroupParent: "/kubepods/p" })],
      [container("a", "p"), container("b", "p"), container("c", "p", { state: "created" })],
      fake,
    );
    const { attributes, linux } = await stats.podStats("p");
    expect(attributes?.metadata?.name).toBe("name-p");
    expect(linux?.cpu?.usageCoreNanoSeconds?.value).toBe(7n * second);
    expect(linux?.memory?.usageBytes?.value).toBe(1000n);
    expect(linux?.process?.processCount?.value).toBe(6n);
    expect(linux?.network).toBeUndefined();
    expect(linux?.containers.map(({ attributes }) => attributes?.id)).toEqual(["a", "b", "c"]);
  });

  test("a pod's without such a group, from its containers", async () => {
    using fake = new FakeGroups(version);
    fake.write("p/a", use);
    fake.write("p/b", use);
    const { stats } = statsOver([pod("p")], [container("a", "p"), container("b", "p")], fake);
    const { linux } = await stats.podStats("p");
    expect(linux?.cpu?.usageCoreNanoSeconds?.value).toBe(10n * second);
    expect(linux?.memory).toMatchObject({ usageBytes: { value: 2000n }, availableBytes: { value: 8600n } });
  });

  test("of pods that aren't ready, are errors, or left out of lists", async () => {
    using fake = new FakeGroups(version);
    const { stats } = statsOver([pod("p", { state: "notReady" })], [], fake);
    await expect(stats.podStats("p")).rejects.toMatchObject({
      code: "unavailable",
      message:
        'failed to decode pod sandbox metrics p: failed to get pod sandbox stats since sandbox container "p" is not in ready state',
    });
    await expect(stats.podStats("q")).rejects.toMatchObject({
      code: "notFound",
      message: "an error occurred when trying to find sandbox q",
    });
    expect(await stats.listPodStats(undefined)).toEqual([]);
    expect(await stats.podMetrics()).toEqual([]);
  });
});

describe("stats of a container that only its shim knows", () => {
  const shim = (data: TypedBytes) =>
    statsOver([pod("p")], [container("a", "p", { startedAt: nowNanos() - 10n * second })], {
      cgroupOf: () => undefined,
      shimStats: async () => data,
    }).stats;
  const data1 = encodeAny("io.containerd.cgroups.v1.Metrics", Metrics1, {
    cpu: { usage: { total: 5n * second, kernel: second, user: 4n * second } },
    memory: {
      usage: { usage: 1000n, limit: 5000n, max: 2000n },
      swap: { usage: 1010n },
      totalInactiveFile: 300n,
      totalRss: 100n,
      totalPgFault: 11n,
    },
    pids: { current: 3n },
    blkio: { ioServiceBytesRecursive: [{ op: "Read", major: 250n, minor: 77n, value: 4096n }] },
  });
  const psi = { some: { avg10: 1.5, avg60: 0.25, avg300: 0, total: 1_000_000n } };
  const data2 = encodeAny("io.containerd.cgroups.v2.Metrics", Metrics2, {
    cpu: { usageUsec: 5_000_000n, userUsec: 4_000_000n, systemUsec: 1_000_000n, psi },
    memory: {
      usage: 1000n,
      usageLimit: 5000n,
      maxUsage: 2000n,
      inactiveFile: 300n,
      anon: 100n,
      pgfault: 11n,
      swapUsage: 10n,
    },
    pids: { current: 3n },
    io: { usage: [{ major: 250n, minor: 77n, rbytes: 4096n }] },
  });

  test.each([
    [1, data1],
    [2, data2],
  ] as const)("in the form of version %i", async (version, data) => {
    const { cpu, memory, swap, io } = await shim(data).containerStats("a");
    expect(cpu?.usageCoreNanoSeconds?.value).toBe(5n * second);
    expect(Number(cpu?.usageNanoCores?.value)).toBeCloseTo(0.5e9, -8);
    expect(cpu?.psi?.Some?.Total).toBe(version === 1 ? undefined : second);
    expect(memory).toMatchObject({
      workingSetBytes: { value: 700n },
      availableBytes: { value: 4300n },
      rssBytes: { value: 100n },
      pageFaults: { value: 11n },
    });
    expect(swap?.swapUsageBytes?.value).toBe(10n);
    expect(io).toBeUndefined();
    const [of] = await shim(data).podMetrics();
    const metrics = new Map(of?.containerMetrics[0]?.metrics.map(({ name, value }) => [name, value?.value]));
    expect(metrics.get("container_cpu_user_seconds_total")).toBe(4n);
    expect(metrics.get("container_memory_max_usage_bytes")).toBe(2000n);
    expect(metrics.get("container_fs_reads_bytes_total")).toBe(4096n);
    expect(metrics.get("container_threads")).toBe(3n);
    expect(metrics.get("container_processes")).toBeUndefined();
  });

  test("in no form that is known", async () => {
    const stats = shim({ typeUrl: "other", value: new Uint8Array() });
    await expect(stats.containerStats("a")).rejects.toThrow("unexpected metrics response: []");
    expect((await stats.podMetrics())[0]?.containerMetrics).toEqual([]);
  });
});

test.skipIf(!isRoot)("stats of a control group of this kernel (needs root: makes one)", async () => {
  const path = `/hull-stats-${process.pid}`;
  const group = cgroupAt(path);
  createCgroup(group);
  try {
    const { stats } = statsOver([pod("p")], [container("a", "p")], { cgroupOf: () => path });
    const { cpu, memory } = await stats.containerStats("a");
    expect(cpu?.usageCoreNanoSeconds?.value).toBeGreaterThanOrEqual(0n);
    expect(memory?.usageBytes?.value).toBeGreaterThanOrEqual(0n);
  } finally {
    removeCgroup(group);
  }
  const { stats } = statsOver([pod("p")], [container("a", "p")], { cgroupOf: () => path });
  await expect(stats.containerStats("a")).rejects.toThrow("unexpected metrics response: []");
});
