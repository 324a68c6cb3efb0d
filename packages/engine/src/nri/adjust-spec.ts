import {
  type ContainerAdjustment,
  type Hook,
  IOPrioClass,
  type LinuxContainerAdjustment,
  type LinuxDevice,
  type LinuxRdt,
  type LinuxResources,
  LinuxSchedulerFlag,
  LinuxSchedulerPolicy,
  type LinuxSeccomp,
  type Mount,
  MpolFlag,
  MpolMode,
} from "@hull/api/gen/nri/v1alpha1/nri";
import { invalidArgument } from "@hull/errors";
import {
  type BlockIo,
  byDepth,
  type Device,
  type IntelRdt,
  type Linux,
  type Process,
  type Resources,
  type Seccomp,
  type Spec,
  type SpecMount,
} from "@hull/oci/spec";
import { parseRemoval } from "./owners.ts";

/** What only the host knows of what plugins name. */
export interface SpecHost {
  /** Puts CDI devices into a spec. */
  injectDevices(spec: Spec, names: readonly string[]): Promise<Spec>;
  /** The settings behind a class of block I/O. @throws NotFound */
  blockIoClass(name: string): Promise<BlockIo>;
  /** The settings behind a class of RDT. @throws NotFound */
  rdtClass(name: string): Promise<IntelRdt>;
  /** @throws FailedPrecondition unless the mount that holds a path propagates in one of these ways */
  checkPropagation(path: string, allowed: readonly ("rshared" | "rslave")[]): Promise<void>;
}

/**
 * A container's spec with what plugins want of it, which `Nri.createContainer` gave.
 * @throws what the host throws; InvalidArgument for a kind of namespace or device that there isn't
 */
export async function adjustSpec(spec: Spec, adjust: ContainerAdjustment, host: SpecHost): Promise<Spec> {
  let result: Spec = {
    ...spec,
    annotations: changed(spec.annotations, adjust.annotations),
    process: processWith(spec.process, adjust),
    hooks: hooksWith(spec.hooks, adjust.hooks),
  };
  const devices = adjust.CDIDevices.map(({ name }) => name);
  if (devices.length > 0) result = await host.injectDevices(result, devices);
  const { linux } = adjust;
  if (linux !== undefined) result = { ...result, linux: await linuxWith(result.linux, linux, host) };
  if (linux?.oomScoreAdj !== undefined)
    result = { ...result, process: { ...result.process, oomScoreAdj: Number(linux.oomScoreAdj.value) } };
  return await withMounts(result, adjust.mounts, host);
}

/** Entries by name; those that are marked go. */
function changed<T>(
  entries: Readonly<Record<string, T>> | undefined,
  wanted: Readonly<Record<string, T>>,
): Record<string, T> | undefined {
  if (Object.keys(wanted).length === 0) return entries;
  const result: Record<string, T> = { ...entries };
  const parsed = Object.entries(wanted).map(([key, value]) => ({ ...parseRemoval(key), value }));
  for (const { name, removed } of parsed) if (removed) delete result[name];
  for (const { name, removed, value } of parsed) if (!removed) result[name] = value;
  return result;
}

function processWith(process: Process, { env, args, rlimits, linux }: ContainerAdjustment): Process {
  const result: Process = { ...process };
  if (env.length > 0) result.env = envWith(process.env ?? [], env);
  if (args.length > 0) result.args = [...args];
  if (rlimits.length > 0) {
    const added = rlimits.map(({ type, hard, soft }) => ({ type, hard: Number(hard), soft: Number(soft) }));
    result.rlimits = [
      ...(process.rlimits ?? []).filter(({ type }) => !added.some((limit) => limit.type === type)),
      ...added,
    ];
  }
  if (linux?.ioPriority !== undefined) {
    const { priority } = linux.ioPriority;
    result.ioPriority = { class: nameOf(IOPrioClass, linux.ioPriority.class), priority };
  }
  if (linux?.scheduler !== undefined) {
    const { policy, nice, priority, flags, runtime, deadline, period } = linux.scheduler;
    result.scheduler = {
      policy: nameOf(LinuxSchedulerPolicy, policy),
      nice,
      priority,
      flags: flags.map((flag) => nameOf(LinuxSchedulerFlag, flag)),
      runtime: Number(runtime),
      deadline: Number(deadline),
      period: Number(period),
    };
  }
  return result;
}

/** Those that are there change in their places, new ones come after them. */
function envWith(env: readonly string[], wanted: ContainerAdjustment["env"]): string[] {
  const changes = new Map(
    wanted.map(({ key, value }) => {
      const { name, removed } = parseRemoval(key);
      return [name, removed ? undefined : `${name}=${value}`] as const;
    }),
  );
  const kept = env.flatMap((entry) => {
    const name = entry.split("=", 1)[0] ?? "";
    if (!changes.has(name)) return [entry];
    const change = changes.get(name);
    changes.delete(name);
    return change === undefined ? [] : [change];
  });
  return [...kept, ...[...changes.values()].filter((entry) => entry !== undefined)];
}

function hooksWith(hooks: Spec["hooks"], wanted: ContainerAdjustment["hooks"]): Spec["hooks"] {
  if (wanted === undefined) return hooks;
  const result = { ...hooks };
  for (const [kind, added] of Object.entries(wanted) as [keyof NonNullable<Spec["hooks"]>, Hook[]][]) {
    if (added.length > 0) result[kind] = [...(result[kind] ?? []), ...added.map(specHook)];
  }
  return Object.keys(result).length === 0 ? undefined : result;
}

const specHook = ({ path, args, env, timeout }: Hook) => ({
  path,
  args,
  env,
  ...(timeout === undefined ? {} : { timeout: Number(timeout.value) }),
});

async function linuxWith(linux: Linux, wanted: LinuxContainerAdjustment, host: SpecHost): Promise<Linux> {
  const result: Linux = {
    ...linux,
    sysctl: changed(linux.sysctl, wanted.sysctl),
    netDevices: changed<{ name?: string }>(linux.netDevices, wanted.netDevices),
  };
  const rules: NonNullable<Resources["devices"]> = [];
  for (const device of wanted.devices) {
    const { name, removed } = parseRemoval(device.path);
    result.devices = (result.devices ?? []).filter(({ path }) => path !== name);
    if (removed) continue;
    const own = specDevice(device);
    result.devices.push(own);
    const { type, major, minor } = own;
    rules.push({ allow: true, type, major, minor, access: type === "b" ? "rwm" : "rw" });
  }
  if (wanted.cgroupsPath !== "") result.cgroupsPath = wanted.cgroupsPath;
  if (wanted.seccompPolicy !== undefined) result.seccomp = specSeccomp(wanted.seccompPolicy);
  if (wanted.namespaces.length > 0) result.namespaces = namespacesWith(linux.namespaces ?? [], wanted.namespaces);
  if (wanted.memoryPolicy !== undefined) {
    const { mode, nodes, flags } = wanted.memoryPolicy;
    result.memoryPolicy = { mode: nameOf(MpolMode, mode), nodes, flags: flags.map((flag) => nameOf(MpolFlag, flag)) };
  }
  const { resources } = wanted;
  result.resources = resourcesWith(
    { ...linux.resources, devices: [...(linux.resources?.devices ?? []), ...rules] },
    resources,
  );
  if (resources?.blockioClass !== undefined) {
    const name = resources.blockioClass.value;
    result.resources.blockIO = name === "" ? undefined : await host.blockIoClass(name);
  }
  if (resources?.rdtClass !== undefined) {
    const name = resources.rdtClass.value;
    result.intelRdt = name === "" ? undefined : await host.rdtClass(name);
  }
  if (wanted.rdt !== undefined) result.intelRdt = rdtWith(result.intelRdt, wanted.rdt);
  return result;
}

function specDevice({ path, type, major, minor, fileMode, uid, gid }: LinuxDevice): Device {
  if (type !== "b" && type !== "c" && type !== "u" && type !== "p")
    throw invalidArgument(`device "${path}" has the type "${type}", which is none of b, c, u, p`);
  return {
    path,
    type,
    major: Number(major),
    minor: Number(minor),
    ...(fileMode === undefined ? {} : { fileMode: fileMode.value }),
    ...(uid === undefined ? {} : { uid: uid.value }),
    ...(gid === undefined ? {} : { gid: gid.value }),
  };
}

const namespaceTypes = ["pid", "ipc", "uts", "mount", "network", "user", "cgroup", "time"] as const;

function namespacesWith(
  namespaces: NonNullable<Linux["namespaces"]>,
  wanted: LinuxContainerAdjustment["namespaces"],
): NonNullable<Linux["namespaces"]> {
  let result = namespaces;
  for (const namespace of wanted) {
    const { name, removed } = parseRemoval(namespace.type);
    const type = namespaceTypes.find((known) => known === name);
    if (type === undefined) throw invalidArgument(`namespace "${name}" is none of ${namespaceTypes.join(", ")}`);
    result = result.filter((other) => other.type !== type);
    if (!removed) result = [...result, { type, ...(namespace.path === "" ? {} : { path: namespace.path }) }];
  }
  return result;
}

function specSeccomp(policy: LinuxSeccomp): Seccomp {
  return {
    defaultAction: policy.defaultAction,
    ...(policy.defaultErrno === undefined ? {} : { defaultErrnoRet: policy.defaultErrno.value }),
    architectures: policy.architectures,
    flags: policy.flags,
    ...(policy.listenerPath === "" ? {} : { listenerPath: policy.listenerPath }),
    ...(policy.listenerMetadata === "" ? {} : { listenerMetadata: policy.listenerMetadata }),
    syscalls: policy.syscalls.map(({ names, action, errnoRet, args }) => ({
      names,
      action,
      ...(errnoRet === undefined ? {} : { errnoRet: errnoRet.value }),
      args: args.map(({ index, value, valueTwo, op }) => ({
        index,
        value: Number(value),
        valueTwo: Number(valueTwo),
        op,
      })),
    })),
  };
}

/** Resources with those that plugins gave. A limit of memory is one of memory and swap together, unless that was given too. */
function resourcesWith(base: Resources, wanted: LinuxResources | undefined): Resources {
  if (wanted === undefined) return base;
  const { memory, cpu, hugepageLimits, unified, devices, pids } = wanted;
  const limit = optional(memory?.limit);
  const result: Resources = {
    ...base,
    memory: given({
      ...base.memory,
      ...given({
        limit: limit === 0 ? undefined : limit,
        swap: optional(memory?.swap) ?? (limit === 0 ? undefined : limit),
        reservation: optional(memory?.reservation),
        kernel: optional(memory?.kernel),
        kernelTCP: optional(memory?.kernelTcp),
        swappiness: optional(memory?.swappiness),
        disableOOMKiller: memory?.disableOomKiller?.value,
        useHierarchy: memory?.useHierarchy?.value,
      }),
    }),
    cpu: given({
      ...base.cpu,
      ...given({
        shares: optional(cpu?.shares),
        quota: optional(cpu?.quota),
        period: optional(cpu?.period),
        realtimeRuntime: optional(cpu?.realtimeRuntime),
        realtimePeriod: optional(cpu?.realtimePeriod),
        cpus: cpu?.cpus === "" ? undefined : cpu?.cpus,
        mems: cpu?.mems === "" ? undefined : cpu?.mems,
      }),
    }),
    devices: [
      ...(base.devices ?? []),
      ...devices.map(({ allow, type, major, minor, access }) =>
        given({ allow, type, major: optional(major), minor: optional(minor), access }),
      ),
    ],
  };
  if (hugepageLimits.length > 0) {
    const added = hugepageLimits.map(({ pageSize, limit: bytes }) => ({ pageSize, limit: Number(bytes) }));
    const others = (base.hugepageLimits ?? []).filter(
      ({ pageSize }) => !added.some((other) => other.pageSize === pageSize),
    );
    result.hugepageLimits = [...others, ...added];
  }
  if (Object.keys(unified).length > 0) result.unified = { ...base.unified, ...unified };
  if (pids !== undefined) result.pids = { limit: Number(pids.limit) };
  return result;
}

function rdtWith(base: IntelRdt | undefined, wanted: LinuxRdt): IntelRdt | undefined {
  const start = wanted.remove ? {} : { ...base };
  const result: IntelRdt = given({
    ...start,
    ...given({
      closID: wanted.closId?.value,
      schemata: wanted.schemata?.value,
      enableMonitoring: wanted.enableMonitoring?.value,
    }),
  });
  return Object.keys(result).length === 0 ? undefined : result;
}

async function withMounts(spec: Spec, wanted: readonly Mount[], host: SpecHost): Promise<Spec> {
  if (wanted.length === 0) return spec;
  let { mounts } = spec;
  let propagation = spec.linux.rootfsPropagation;
  for (const { destination, type, source, options } of wanted) {
    const { name, removed } = parseRemoval(destination);
    mounts = mounts.filter((mount) => mount.destination !== name);
    if (removed) continue;
    if (options.includes("rshared")) {
      await host.checkPropagation(source, ["rshared"]);
      propagation = "rshared";
    } else if (options.includes("rslave")) {
      await host.checkPropagation(source, ["rshared", "rslave"]);
      if (propagation !== "rshared") propagation = "rslave";
    }
    const mount: SpecMount = { destination, type, source, options };
    mounts = [...mounts, mount];
  }
  const linux = propagation === undefined ? spec.linux : { ...spec.linux, rootfsPropagation: propagation };
  return { ...spec, linux, mounts: byDepth(mounts) };
}

const optional = (value: { value: bigint } | undefined): number | undefined =>
  value === undefined ? undefined : Number(value.value);

const given = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;

function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  const name = Object.entries(names).find(([, number]) => number === value)?.[0];
  if (name === undefined) throw invalidArgument(`${value} is none of ${Object.keys(names).join(", ")}`);
  return name;
}
