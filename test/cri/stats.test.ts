/** What pods and containers use, as it is told beside the real containerd. */
import type { ContainerStats, PodSandboxStats } from "@hull/api/gen/cri/v1/cri";
import { scriptContainer } from "../support/cri.ts";
import { type CriPair, type CriServer, comparedCri } from "./pair.ts";

const unknownId = "fedcba9876543210".repeat(4);

type Value = { readonly value: bigint } | undefined;

/** Which values there are, for they themselves change from look to look. */
const there = (value: Value): string => (value === undefined ? "none" : value.value === 0n ? "0" : "more");

/** What has to be the same of both. Swap and pressure are told since containerd 2. */
function container({ attributes, cpu, memory, writableLayer }: ContainerStats) {
  const layer = writableLayer?.fsId?.mountpoint.replace(/^.*\/root\//, "");
  if (memory === undefined) return { attributes, cpu, memory, layer };
  return {
    attributes,
    cpu: there(cpu?.usageCoreNanoSeconds),
    memory: {
      usage: there(memory.usageBytes),
      workingSet: there(memory.workingSetBytes),
      limited: there(memory.availableBytes),
      rss: there(memory.rssBytes),
      faults: there(memory.pageFaults),
      majorFaults: there(memory.majorPageFaults),
    },
    layer,
  };
}

const containers = (stats: readonly ContainerStats[]) =>
  stats
    .toSorted((a, b) => (a.attributes?.metadata?.name ?? "").localeCompare(b.attributes?.metadata?.name ?? ""))
    .map(container);

function pod({ attributes, linux }: PodSandboxStats) {
  const { cpu, memory, network, process, containers: members = [] } = linux ?? {};
  return {
    attributes,
    cpu: there(cpu?.usageCoreNanoSeconds),
    memory: [there(memory?.usageBytes), there(memory?.workingSetBytes), there(memory?.rssBytes)],
    network: [network?.defaultInterface?.name, there(network?.defaultInterface?.rxErrors)],
    processes: process?.processCount?.value,
    containers: containers(members),
  };
}

/** Two pods: "one" with a container that runs within a limit and one that has ended, "two" with one that was only made. */
async function pods({ each }: CriPair): Promise<void> {
  await each(async (server) => {
    await server.runPod("one", { labels: { app: "web" } });
    const resources = { memoryLimitInBytes: 64n << 20n };
    const limited = { linux: { resources }, labels: { role: "work" }, annotations: { note: "kept" } };
    await server.create("one", scriptContainer("runs", "sleep 1000", limited));
    await server.create("one", scriptContainer("ends", "exit 0"));
    await server.start("runs");
    await server.start("ends");
    await server.ended("ends");
    await server.runPod("two", { labels: { app: "other" } });
    await server.create("two", scriptContainer("waits", "sleep 1000"));
  });
}

const listed =
  (filter: (server: CriServer) => { id?: string; podSandboxId?: string; labelSelector?: Record<string, string> }) =>
  async (server: CriServer) =>
    containers((await server.runtime.listContainerStats({ filter: filter(server) })).stats);

comparedCri("stats", (test) => {
  test("of containers", async (pair) => {
    const { same } = pair;
    await pods(pair);
    const one = (name: string) => async (server: CriServer) => {
      const { stats } = await server.runtime.containerStats({ containerId: server.id(name) });
      return stats === undefined ? "none" : container(stats);
    };
    await same("of one that runs", one("runs"));
    await same("of one that has ended", one("ends"));
    await same("of one that was only made", one("waits"));
    for (const containerId of [unknownId, "none"])
      await same(`of ${containerId}`, ({ runtime }) => runtime.containerStats({ containerId }));
    await same("all", async ({ runtime }) => containers((await runtime.listContainerStats({})).stats));
    await same(
      "by nothing",
      listed(() => ({})),
    );
    await same(
      "by id",
      listed(({ id }) => ({ id: id("runs") })),
    );
    await same(
      "by the beginning of an id",
      listed(({ id }) => ({ id: id("runs").slice(0, 20) })),
    );
    await same(
      "by pod",
      listed(({ id }) => ({ podSandboxId: id("two") })),
    );
    await same(
      "by label",
      listed(() => ({ labelSelector: { role: "work" } })),
    );
    await same(
      "by another label",
      listed(() => ({ labelSelector: { role: "none" } })),
    );
    await same(
      "by an unknown id",
      listed(() => ({ id: unknownId })),
    );
  });

  test("of pods", async (pair) => {
    const { same } = pair;
    await pods(pair);
    await same("of one", async ({ runtime, id }) => {
      const { stats } = await runtime.podSandboxStats({ podSandboxId: id("one") });
      return stats === undefined ? "none" : pod(stats);
    });
    await same("all", async ({ runtime }) => {
      const { stats } = await runtime.listPodSandboxStats({});
      return stats
        .toSorted((a, b) => (a.attributes?.metadata?.name ?? "").localeCompare(b.attributes?.metadata?.name ?? ""))
        .map(pod);
    });
    await same("by label", async ({ runtime }) =>
      (await runtime.listPodSandboxStats({ filter: { labelSelector: { app: "web" } } })).stats.map(pod),
    );
    await same("of the unknown one", ({ runtime }) => runtime.podSandboxStats({ podSandboxId: unknownId }));
    await pair.each(({ runtime, id }) => runtime.stopPodSandbox({ podSandboxId: id("one") }));
    // Newer ones say by the class that it may be transient.
    const newer = (older: unknown): unknown => `${older}`.replace("unknown:", "unavailable:");
    await same("of one that is stopped", ({ runtime, id }) => runtime.podSandboxStats({ podSandboxId: id("one") }), {
      newer,
    });
    await same("by label, stopped", async ({ runtime }) =>
      (await runtime.listPodSandboxStats({ filter: { labelSelector: { app: "web" } } })).stats.map(pod),
    );
  });
});
