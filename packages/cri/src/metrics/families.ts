/**
 * The families of metrics that the kubelet gets in cAdvisor's stead, for its own `/metrics/cadvisor`. The names are cAdvisor's
 * (https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md), and so are the labels behind the five that all have.
 */

import { type MetricDescriptor, MetricType } from "@hull/api/gen/cri/v1/cri";

/** One family. Times are in seconds, sizes in bytes, as the names say. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  /** Labels behind the common ones, in the order of their values. */
  readonly labels: readonly string[];
}

/** One value of a family, with those of its own labels. */
export type Value = readonly [family: Family, value: bigint, ...labels: string[]];

/** Labels of all: of a pod's own metrics container and image are empty, and the id is the pod's. */
const commonLabels = ["pod", "namespace", "container", "id", "image"];

const counter = (name: string, help: string, ...labels: string[]): Family => ({
  name: `container_${name}`,
  help,
  type: MetricType.COUNTER,
  labels,
});

const gauge = (name: string, help: string, ...labels: string[]): Family => ({
  ...counter(name, help, ...labels),
  type: MetricType.GAUGE,
});

export const cpu = {
  user: counter("cpu_user_seconds_total", "Processor time in user mode"),
  system: counter("cpu_system_seconds_total", "Processor time in the kernel"),
  usage: counter("cpu_usage_seconds_total", "Processor time"),
  periods: counter("cpu_cfs_periods_total", "Periods in which the quota was enforced"),
  throttledPeriods: counter("cpu_cfs_throttled_periods_total", "Periods in which the quota was used up"),
  throttled: counter("cpu_cfs_throttled_seconds_total", "Time held back because the quota was used up"),
};

export const memory = {
  cache: gauge("memory_cache", "Cached contents of files"),
  rss: gauge("memory_rss", "Anonymous memory"),
  kernel: gauge("memory_kernel_usage", "The kernel's memory for it"),
  mapped: gauge("memory_mapped_file", "Files mapped into memory"),
  swap: gauge("memory_swap", "Memory in swap"),
  failures: counter("memory_failcnt", "How often the limit was reached"),
  usage: gauge("memory_usage_bytes", "All memory, with cached files"),
  max: gauge("memory_max_usage_bytes", "The most that was used at a time"),
  workingSet: gauge("memory_working_set_bytes", "Memory but cached files that weren't read lately"),
  activeFile: gauge("memory_total_active_file_bytes", "Cached files that were read lately"),
  inactiveFile: gauge("memory_total_inactive_file_bytes", "Cached files that weren't read lately"),
  faults: counter("memory_failures_total", "Page faults", "failure_type", "scope"),
  oomKills: counter("oom_events_total", "Processes killed for want of memory"),
};

export const hugePages = {
  usage: gauge("hugetlb_usage_bytes", "Huge pages", "pagesize"),
  max: gauge("hugetlb_max_usage_bytes", "The most huge pages at a time", "pagesize"),
};

export const pressure = {
  cpuWaiting: counter("pressure_cpu_waiting_seconds_total", "Time in which some task waited for a processor"),
  cpuStalled: counter("pressure_cpu_stalled_seconds_total", "Time in which all tasks waited for a processor"),
  memoryWaiting: counter("pressure_memory_waiting_seconds_total", "Time in which some task waited for memory"),
  memoryStalled: counter("pressure_memory_stalled_seconds_total", "Time in which all tasks waited for memory"),
  ioWaiting: counter("pressure_io_waiting_seconds_total", "Time in which some task waited for a disk"),
  ioStalled: counter("pressure_io_stalled_seconds_total", "Time in which all tasks waited for a disk"),
};

export const network = {
  receivedBytes: counter("network_receive_bytes_total", "Bytes received", "interface"),
  receivedPackets: counter("network_receive_packets_total", "Packets received", "interface"),
  receivedDropped: counter("network_receive_packets_dropped_total", "Packets lost on receiving", "interface"),
  receivedErrors: counter("network_receive_errors_total", "Errors on receiving", "interface"),
  sentBytes: counter("network_transmit_bytes_total", "Bytes sent", "interface"),
  sentPackets: counter("network_transmit_packets_total", "Packets sent", "interface"),
  sentDropped: counter("network_transmit_packets_dropped_total", "Packets lost on sending", "interface"),
  sentErrors: counter("network_transmit_errors_total", "Errors on sending", "interface"),
};

export const fileSystem = {
  inodesFree: gauge("fs_inodes_free", "Inodes that the file system has left", "device"),
  inodes: gauge("fs_inodes_total", "Inodes of the file system", "device"),
  limit: gauge("fs_limit_bytes", "Size of the file system", "device"),
  usage: gauge("fs_usage_bytes", "What the container's own layer takes of it", "device"),
};

export const disk = {
  readBytes: counter("fs_reads_bytes_total", "Bytes read", "device"),
  reads: counter("fs_reads_total", "Reads", "device"),
  writtenBytes: counter("fs_writes_bytes_total", "Bytes written", "device"),
  writes: counter("fs_writes_total", "Writes", "device"),
  usage: counter("blkio_device_usage_total", "Bytes moved", "device", "major", "minor", "operation"),
};

export const processes = {
  count: gauge("processes", "Processes"),
  files: gauge("file_descriptors", "Open files of all processes"),
  sockets: gauge("sockets", "Open sockets of all processes"),
  threadsMax: gauge("threads_max", "Threads that it may have; 0: no limit"),
  threads: gauge("threads", "Threads of all processes"),
  ulimits: gauge("ulimits_soft", "Soft limits of the first process", "ulimit"),
};

export const times = {
  lastSeen: gauge("last_seen", "When this was read, in seconds since 1970"),
  started: gauge("start_time_seconds", "When it was started, in seconds since 1970"),
};

export const spec = {
  cpuPeriod: gauge("spec_cpu_period", "Microseconds of a period of the quota"),
  cpuQuota: gauge("spec_cpu_quota", "Microseconds of processor time in each period"),
  cpuShares: gauge("spec_cpu_shares", "Weight among others that want a processor"),
  memoryLimit: gauge("spec_memory_limit_bytes", "Limit of memory"),
  memoryReservation: gauge("spec_memory_reservation_limit_bytes", "Memory that it keeps when others want some"),
  memorySwapLimit: gauge("spec_memory_swap_limit_bytes", "Limit of memory and swap together"),
};

const groups = [
  cpu,
  memory,
  hugePages,
  pressure,
  network,
  fileSystem,
  disk,
  processes,
  times,
  spec,
] satisfies readonly Readonly<Record<string, Family>>[];

/** All families, as the CRI describes them. */
export const descriptors: readonly MetricDescriptor[] = groups
  .flatMap((group): Family[] => Object.values(group))
  .map(({ name, help, labels }) => ({ name, help, labelKeys: [...commonLabels, ...labels] }));
