/** Pods and containers as NRI's plugins see them (containerd/nri, pkg/api; what containerd fills in: internal/cri/nri). */

import type { LinuxContainerResources } from "@hull/api/gen/cri/v1/cri";
import * as nri from "@hull/api/gen/nri/v1alpha1/nri";
import type { Resources, Seccomp, Spec } from "@hull/oci/spec";
import type { Pod, PodContainer } from "../model.ts";

const int = (value: number | undefined) => (value === undefined ? undefined : { value: BigInt(value) });
const flag = (value: boolean | undefined) => (value === undefined ? undefined : { value });

/** A pod; `labels` are those of its record. */
export function nriPod(pod: Pod): nri.PodSandbox {
  const { config, network, namespaces } = pod;
  const { metadata, linux } = config;
  return nri.PodSandbox.fromPartial({
    id: pod.id,
    name: metadata?.name ?? "",
    uid: metadata?.uid ?? "",
    namespace: metadata?.namespace ?? "",
    labels: { ...config.labels, "io.cri-containerd.kind": "sandbox" },
    annotations: config.annotations,
    runtimeHandler: pod.runtimeHandler,
    linux: {
      podOverhead: nriOfCri(pod.updated?.overhead ?? linux?.overhead),
      podResources: nriOfCri(pod.updated?.resources ?? linux?.resources),
      cgroupParent: linux?.cgroupParent ?? "",
      namespaces: Object.entries(nriNamespaces).flatMap(([kind, type]) => {
        const path = namespaces[kind as keyof typeof nriNamespaces];
        return path === undefined ? [] : [{ type, path }];
      }),
    },
    pid: pod.pause?.pid ?? 0,
    ips: network.ip === "" ? [] : [network.ip, ...network.additionalIps],
  });
}

const nriNamespaces = { net: "network", ipc: "ipc", uts: "uts", user: "user", pid: "pid" } as const;

/** A container, and what of it isn't in its spec; `exit` as its task has just ended. */
export function nriContainer(
  spec: Spec,
  container: Omit<PodContainer, "status" | "user" | "mounts" | "place"> & {
    readonly imageName: string;
    readonly imageDigest: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly status?: PodContainer["status"];
    /** Of a task that was made, before it is started. */
    readonly taskPid?: number;
  },
): nri.Container {
  const { config, status } = container;
  const { process, linux } = spec;
  const seccomp = config.linux?.securityContext?.seccomp;
  return nri.Container.fromPartial({
    id: container.id,
    podSandboxId: container.podId,
    name: config.metadata?.name ?? "",
    state: status === undefined ? nri.ContainerState.CONTAINER_UNKNOWN : states[status.state],
    labels: { ...container.labels, ...config.labels },
    annotations: { ...spec.annotations, ...config.annotations },
    args: process.args ?? [],
    env: process.env ?? [],
    mounts: spec.mounts,
    hooks: spec.hooks === undefined ? undefined : hooksOf(spec.hooks),
    linux: {
      namespaces: linux.namespaces ?? [],
      devices: (linux.devices ?? []).map(({ path, type, major, minor, fileMode, uid, gid }) => ({
        path,
        type,
        major: BigInt(major),
        minor: BigInt(minor),
        fileMode: fileMode === undefined ? undefined : { value: fileMode },
        uid: uid === undefined ? undefined : { value: uid },
        gid: gid === undefined ? undefined : { value: gid },
      })),
      resources: nriOfSpec(linux.resources),
      oomScoreAdj: int(process.oomScoreAdj),
      cgroupsPath: linux.cgroupsPath ?? "",
      ioPriority: process.ioPriority === undefined ? undefined : ioPriorityOf(process.ioPriority),
      seccompProfile:
        seccomp === undefined ? undefined : { profileType: seccomp.profileType, localhostRef: seccomp.localhostRef },
      seccompPolicy: linux.seccomp === undefined ? undefined : seccompOf(linux.seccomp),
      sysctl: linux.sysctl ?? {},
      netDevices: Object.fromEntries(
        Object.entries(linux.netDevices ?? {}).map(([name, device]) => [name, { name: device.name ?? "" }]),
      ),
      scheduler: process.scheduler === undefined ? undefined : schedulerOf(process.scheduler),
      rdt:
        linux.intelRdt === undefined
          ? undefined
          : {
              closId: { value: linux.intelRdt.closID ?? "" },
              schemata: { value: linux.intelRdt.schemata ?? [] },
              enableMonitoring: { value: linux.intelRdt.enableMonitoring === true },
            },
    },
    pid: status?.pid || container.taskPid || 0,
    rlimits: (process.rlimits ?? []).map(({ type, hard, soft }) => ({ type, hard: BigInt(hard), soft: BigInt(soft) })),
    createdAt: status?.createdAt ?? 0n,
    startedAt: status?.startedAt ?? 0n,
    finishedAt: status?.finishedAt ?? 0n,
    exitCode: status?.exitCode ?? 0,
    statusReason: status?.reason ?? "",
    statusMessage: status?.message ?? "",
    CDIDevices: config.CDIDevices,
    user: { uid: process.user.uid, gid: process.user.gid, additionalGids: process.user.additionalGids ?? [] },
    image: { name: container.imageName, digest: container.imageDigest, configDigest: container.imageId },
  });
}

const states: Readonly<Record<PodContainer["status"]["state"], nri.ContainerState>> = {
  creating: nri.ContainerState.CONTAINER_UNKNOWN,
  created: nri.ContainerState.CONTAINER_CREATED,
  running: nri.ContainerState.CONTAINER_RUNNING,
  exited: nri.ContainerState.CONTAINER_STOPPED,
  unknown: nri.ContainerState.CONTAINER_UNKNOWN,
};

function hooksOf(hooks: NonNullable<Spec["hooks"]>) {
  const entries = Object.entries(hooks).map(([kind, list]) => [
    kind,
    list.map(({ timeout, ...hook }) => ({ ...hook, timeout: int(timeout) })),
  ]);
  return Object.fromEntries(entries) as Partial<nri.Hooks>;
}

const ioPriorityOf = ({ class: name, priority }: { class: string; priority: number }) => ({
  class: nri.IOPrioClass[name as keyof typeof nri.IOPrioClass] ?? nri.IOPrioClass.IOPRIO_CLASS_NONE,
  priority,
});

function schedulerOf(scheduler: NonNullable<Spec["process"]["scheduler"]>) {
  const { policy, nice = 0, priority = 0, flags = [], runtime = 0, deadline = 0, period = 0 } = scheduler;
  return {
    policy: nri.LinuxSchedulerPolicy[policy as keyof typeof nri.LinuxSchedulerPolicy],
    nice,
    priority,
    flags: flags.map((name) => nri.LinuxSchedulerFlag[name as keyof typeof nri.LinuxSchedulerFlag]),
    runtime: BigInt(runtime),
    deadline: BigInt(deadline),
    period: BigInt(period),
  };
}

function seccompOf({ syscalls = [], defaultErrnoRet, ...policy }: Seccomp) {
  const errno = (value: number | undefined) => (value === undefined ? undefined : { value });
  return {
    ...policy,
    defaultErrno: errno(defaultErrnoRet),
    syscalls: syscalls.map(({ names, action, errnoRet, args = [] }) => ({
      names,
      action,
      errnoRet: errno(errnoRet),
      args: args.map(({ index, value, valueTwo = 0, op }) => ({
        index,
        value: BigInt(value),
        valueTwo: BigInt(valueTwo),
        op,
      })),
    })),
  };
}

/** Limits of a spec. */
export function nriOfSpec(resources: Resources | undefined): Partial<nri.LinuxResources> | undefined {
  if (resources === undefined) return undefined;
  const { memory, cpu, hugepageLimits = [], devices = [], pids, unified = {} } = resources;
  return {
    memory:
      memory === undefined
        ? undefined
        : {
            limit: int(memory.limit),
            reservation: int(memory.reservation),
            swap: int(memory.swap),
            kernel: int(memory.kernel),
            kernelTcp: int(memory.kernelTCP),
            swappiness: int(memory.swappiness),
            disableOomKiller: flag(memory.disableOOMKiller),
            useHierarchy: flag(memory.useHierarchy),
          },
    cpu:
      cpu === undefined
        ? undefined
        : {
            shares: int(cpu.shares),
            quota: int(cpu.quota),
            period: int(cpu.period),
            realtimeRuntime: int(cpu.realtimeRuntime),
            realtimePeriod: int(cpu.realtimePeriod),
            cpus: cpu.cpus ?? "",
            mems: cpu.mems ?? "",
          },
    hugepageLimits: hugepageLimits.map(({ pageSize, limit }) => ({ pageSize, limit: BigInt(limit) })),
    devices: devices.map(({ allow, type = "", major, minor, access = "" }) => ({
      allow,
      type,
      major: int(major),
      minor: int(minor),
      access,
    })),
    pids: pids === undefined ? undefined : { limit: BigInt(pids.limit) },
    unified,
  };
}

/** Limits of a request. */
export function nriOfCri(resources: LinuxContainerResources | undefined): nri.LinuxResources | undefined {
  if (resources === undefined) return undefined;
  return nri.LinuxResources.fromPartial({
    cpu: {
      shares: { value: resources.cpuShares },
      quota: { value: resources.cpuQuota },
      period: { value: resources.cpuPeriod },
      cpus: resources.cpusetCpus,
      mems: resources.cpusetMems,
    },
    memory: { limit: { value: resources.memoryLimitInBytes } },
    hugepageLimits: resources.hugepageLimits,
    unified: resources.unified,
  });
}

/** Limits that a plugin wants, over those that were asked for: what NRI has no field of stays. */
export function criOfNri(wanted: nri.LinuxResources, asked: LinuxContainerResources): LinuxContainerResources {
  const { cpu, memory, hugepageLimits, unified } = wanted;
  return {
    ...asked,
    cpuShares: cpu?.shares?.value ?? asked.cpuShares,
    cpuPeriod: cpu?.period?.value ?? asked.cpuPeriod,
    cpuQuota: cpu?.quota?.value ?? asked.cpuQuota,
    cpusetCpus: cpu?.cpus || asked.cpusetCpus,
    cpusetMems: cpu?.mems || asked.cpusetMems,
    memoryLimitInBytes: memory?.limit?.value ?? asked.memoryLimitInBytes,
    hugepageLimits: hugepageLimits.length > 0 ? hugepageLimits : asked.hugepageLimits,
    unified: Object.keys(unified).length > 0 ? unified : asked.unified,
  };
}
