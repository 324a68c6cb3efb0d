import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LinuxContainerResources, type Metric, MetricType } from "@hull/api/gen/cri/v1/cri";
import { createNetworkNamespace, unpinNamespace } from "@hull/sys/namespace";
import { FakeGroups } from "../stats/fake-groups.ts";
import { container, pod, statsOver } from "../stats/testing.ts";
import { descriptors } from "./families.ts";
import { podMetrics } from "./index.ts";

const isRoot = process.getuid?.() === 0;

const tableOf = (metrics: readonly Metric[]) =>
  new Map(metrics.map(({ name, value, labelValues }) => [[name, ...labelValues.slice(5)].join(" "), value?.value]));

describe("metric descriptors", () => {
  test("have names of their own, a help and the common labels first", () => {
    expect(new Set(descriptors.map(({ name }) => name)).size).toBe(descriptors.length);
    for (const { name, help, labelKeys } of descriptors) {
      expect(name).toMatch(/^container_[a-z_]+$/);
      expect(help).not.toBe("");
      expect(labelKeys.slice(0, 5)).toEqual(["pod", "namespace", "container", "id", "image"]);
    }
  });
});

describe.each([1, 2] as const)("metrics by control groups of version %i", (version) => {
  test("a container's", async () => {
    using fake = new FakeGroups(version);
    fake.write("p/a", { cpuNs: 5_900_000_000, memory: 1000, inactiveFile: 300, swap: 10, tasks: 3 });
    const resources = LinuxContainerResources.fromPartial({
      cpuPeriod: 100_000n,
      cpuQuota: 20_000n,
      cpuShares: 1024n,
      memoryLimitInBytes: 64n << 20n,
      memorySwapLimitInBytes: 64n << 20n,
      unified: { "memory.low": "4096" },
    });
    const started = { startedAt: 1_700_000_000_500_000_000n, resources };
    const { stats } = statsOver([pod("p")], [container("a", "p", started), container("b", "p")], fake);
    await stats.listContainerStats(undefined);
    const [of, ...more] = await stats.podMetrics();
    expect(more).toEqual([]);
    expect(of?.podSandboxId).toBe("p");
    expect(of?.metrics).toEqual([]);
    expect(of?.containerMetrics.map(({ containerId }) => containerId)).toEqual(["a"]);
    const metrics = of?.containerMetrics[0]?.metrics ?? [];
    const device = "250:77";
    expect(Object.fromEntries(tableOf(metrics))).toMatchObject({
      container_cpu_usage_seconds_total: 5n,
      container_cpu_user_seconds_total: 5n,
      container_cpu_system_seconds_total: 0n,
      container_cpu_cfs_periods_total: 10n,
      container_cpu_cfs_throttled_periods_total: 2n,
      container_cpu_cfs_throttled_seconds_total: 3n,
      container_memory_usage_bytes: 1000n,
      container_memory_working_set_bytes: 700n,
      container_memory_max_usage_bytes: 2000n,
      container_memory_rss: 100n,
      container_memory_cache: 50n,
      container_memory_mapped_file: 5n,
      container_memory_swap: 10n,
      container_memory_failcnt: 4n,
      container_memory_kernel_usage: 4096n,
      container_memory_total_active_file_bytes: 6n,
      container_memory_total_inactive_file_bytes: 300n,
      "container_memory_failures_total pgfault container": 11n,
      "container_memory_failures_total pgmajfault container": 3n,
      container_oom_events_total: 9n,
      [`container_fs_reads_bytes_total ${device}`]: 4096n,
      [`container_fs_reads_total ${device}`]: 2n,
      [`container_fs_writes_bytes_total ${device}`]: 0n,
      [`container_fs_writes_total ${device}`]: 0n,
      [`container_blkio_device_usage_total ${device} 250 77 Read`]: 4096n,
      "container_fs_usage_bytes /": 4096n,
      container_processes: 0n,
      container_threads: 3n,
      container_threads_max: 0n,
      container_file_descriptors: 0n,
      container_sockets: 0n,
      container_start_time_seconds: 1_700_000_000n,
      container_spec_cpu_period: 100_000n,
      container_spec_cpu_quota: 20_000n,
      container_spec_cpu_shares: 1024n,
      container_spec_memory_limit_bytes: 64n << 20n,
      container_spec_memory_reservation_limit_bytes: 4096n,
      container_spec_memory_swap_limit_bytes: 64n << 20n,
    });
    expect(tableOf(metrics).get("container_pressure_io_stalled_seconds_total")).toBe(version === 1 ? undefined : 3n);
    expect(tableOf(metrics).get("container_ulimits_soft RLIMIT_NOFILE")).toBeGreaterThan(0n);
    const byName = new Map(descriptors.map((each) => [each.name, each]));
    for (const { name, labelValues, metricType } of metrics) {
      expect([name, labelValues.length]).toEqual([name, byName.get(name)?.labelKeys.length ?? 0]);
      expect(labelValues.slice(0, 5)).toEqual(["name-p", "space", "a", "a", "busybox:1"]);
      expect([MetricType.COUNTER, MetricType.GAUGE]).toContain(metricType);
    }
  });
});

test("a pod's own metrics are those of each interface", () => {
  const traffic = { bytes: 1n, packets: 2n, errors: 3n, dropped: 4n };
  const interfaces = ["eth0", "net1"].map((name) => ({ name, received: traffic, sent: traffic }));
  const { metrics } = podMetrics(pod("p"), interfaces);
  expect(metrics).toHaveLength(16);
  expect(metrics[0]).toMatchObject({
    name: "container_network_receive_bytes_total",
    labelValues: ["name-p", "space", "", "p", "", "eth0"],
    value: { value: 1n },
  });
  expect(tableOf(metrics).get("container_network_transmit_packets_dropped_total net1")).toBe(4n);
});

test.skipIf(!isRoot)("a pod's metrics are read in its network (needs root: makes one)", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-metrics-"));
  const net = join(directory, "net");
  createNetworkNamespace(net);
  try {
    const { stats } = statsOver([pod("p", { namespaces: { net } })], []);
    const [of] = await stats.podMetrics();
    const interfaces = (await stats.podStats("p")).linux?.network?.interfaces ?? [];
    expect(of?.containerMetrics).toEqual([]);
    expect(of?.metrics).toHaveLength(8 * interfaces.length);
  } finally {
    unpinNamespace(net);
    rmSync(directory, { recursive: true });
  }
});
