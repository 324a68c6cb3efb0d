import {
  Container,
  ContainerAdjustment,
  type ContainerUpdate,
  type CreateContainerResponse,
  Field,
  Hooks,
  LinuxContainerAdjustment as LinuxAdjustment,
  LinuxContainer,
  type LinuxContainerAdjustment,
  LinuxRdt,
} from "@hull/api/gen/nri/v1alpha1/nri";
import { mergeResources, noResources } from "./merge-resources.ts";
import { Updates } from "./merge-updates.ts";
import { Owners, parseRemoval, removal } from "./owners.ts";

const hookKinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] as const;

/**
 * What the plugins, one after the other, want of a container that is being made. Each sees the container as those before it changed it.
 * Two that want different things of the same make the creation fail. Source: NRI's `pkg/adaptation/result.go`, as behaviour.
 */
export class Creation {
  readonly owners = new Owners();
  /** The container as the next plugin is to see it. */
  readonly container: Container;
  readonly #linux: LinuxContainer;
  readonly #adjust = ContainerAdjustment.fromPartial({ hooks: {}, linux: { resources: { memory: {}, cpu: {} } } });
  readonly #changes: LinuxContainerAdjustment;
  readonly #updates: Updates;

  constructor(container: Container) {
    this.container = Container.fromPartial(container);
    this.#linux = LinuxContainer.fromPartial(container.linux ?? {});
    this.#linux.resources ??= noResources();
    this.container.linux = this.#linux;
    this.container.hooks ??= Hooks.fromPartial({});
    this.#changes = this.#adjust.linux ?? LinuxAdjustment.fromPartial({});
    this.#updates = new Updates(this.owners, { created: container.id });
  }

  /** @throws InvalidArgument naming both plugins if this one wants what another has set */
  apply({ adjust, update }: CreateContainerResponse, plugin: string): void {
    if (adjust !== undefined) {
      this.#annotations(adjust.annotations, plugin);
      this.#mounts(adjust.mounts, plugin);
      this.#env(adjust.env, plugin);
      this.#args(adjust.args, plugin);
      this.#hooks(adjust.hooks, plugin);
      if (adjust.linux !== undefined) this.#linuxParts(adjust.linux, plugin);
      for (const limit of adjust.rlimits) {
        this.#claim(plugin, Field.Rlimits, limit.type);
        this.container.rlimits.push(limit);
        this.#adjust.rlimits.push(limit);
      }
      for (const device of adjust.CDIDevices) {
        this.#claim(plugin, Field.CdiDevices, device.name);
        this.#adjust.CDIDevices.push(device);
      }
    }
    this.#updates.apply(update, plugin);
  }

  /** What all of them want, as one. */
  result(): { adjust: ContainerAdjustment; updates: ContainerUpdate[] } {
    return { adjust: this.#adjust, updates: this.#updates.all() };
  }

  #claim(plugin: string, field: Field, key?: string): void {
    this.owners.claim(this.container.id, plugin, field, key);
  }

  #clear(plugin: string, field: Field, key?: string): void {
    this.owners.clear(this.container.id, plugin, field, key);
  }

  /** Entries by name, some of which are to go; one that goes and comes is replaced. */
  #map<T>(
    wanted: Readonly<Record<string, T>>,
    { field, plugin, none }: { field: Field; plugin: string; none: T },
    seen: Record<string, T>,
    reply: Record<string, T>,
  ): void {
    const entries = Object.entries(wanted).map(([key, value]) => ({ ...parseRemoval(key), value }));
    const removed = new Set(entries.filter((entry) => entry.removed).map(({ name }) => name));
    for (const { name, value } of entries.filter((entry) => !entry.removed)) {
      if (removed.delete(name)) {
        this.#clear(plugin, field, name);
        reply[removal(name)] = none;
      }
      this.#claim(plugin, field, name);
      seen[name] = value;
      reply[name] = value;
    }
    for (const name of removed) reply[removal(name)] = none;
  }

  /** The same for lists: gives what the container and the reply are to have. */
  #list<T>(
    wanted: readonly T[],
    { field, plugin, nameOf }: { field: Field; plugin: string; nameOf: (item: T) => string },
    seen: readonly T[],
    reply: readonly T[],
  ): { seen: T[]; reply: T[] } {
    const marked = wanted.map((item) => ({ item, ...parseRemoval(nameOf(item)) }));
    const removed = new Map(marked.filter((entry) => entry.removed).map(({ name, item }) => [name, item]));
    const added = marked.filter((entry) => !entry.removed);
    const names = new Set(added.map(({ name }) => name));
    const kept = reply.filter((item) => {
      if (!removed.has(nameOf(item))) return true;
      this.#clear(plugin, field, nameOf(item));
      return false;
    });
    for (const { name } of added) this.#claim(plugin, field, name);
    const gone = [...removed].filter(([name]) => !names.has(name)).map(([, item]) => item);
    const items = added.map(({ item }) => item);
    return {
      seen: [...seen.filter((item) => !removed.has(nameOf(item)) && !names.has(nameOf(item))), ...items],
      reply: [...kept, ...items, ...gone],
    };
  }

  #annotations(wanted: Readonly<Record<string, string>>, plugin: string): void {
    const options = { field: Field.Annotations, plugin, none: "" };
    this.#map(wanted, options, this.container.annotations, this.#adjust.annotations);
  }

  #mounts(wanted: ContainerAdjustment["mounts"], plugin: string): void {
    const options = { field: Field.Mounts, plugin, nameOf: ({ destination }: { destination: string }) => destination };
    const { seen, reply } = this.#list(wanted, options, this.container.mounts, this.#adjust.mounts);
    this.container.mounts = seen;
    this.#adjust.mounts = reply;
  }

  #env(wanted: ContainerAdjustment["env"], plugin: string): void {
    const current = this.container.env.map((entry) => {
      const [key = "", ...value] = entry.split("=");
      return { key, value: value.join("=") };
    });
    const options = { field: Field.Env, plugin, nameOf: ({ key }: { key: string }) => key };
    const { seen, reply } = this.#list(wanted, options, current, this.#adjust.env);
    this.container.env = seen.map(({ key, value }) => `${key}=${value}`);
    this.#adjust.env = reply;
  }

  /** An empty first argument says that it may replace what another plugin has set. */
  #args(wanted: readonly string[], plugin: string): void {
    if (wanted.length === 0) return;
    const replaces = wanted[0] === "";
    if (replaces) this.#clear(plugin, Field.Args);
    this.#claim(plugin, Field.Args);
    this.#adjust.args = wanted.slice(replaces ? 1 : 0);
    this.container.args = [...this.#adjust.args];
  }

  #hooks(wanted: Hooks | undefined, plugin: string): void {
    if (wanted === undefined || hookKinds.every((kind) => wanted[kind].length === 0)) return;
    for (const kind of hookKinds) {
      this.container.hooks?.[kind].push(...wanted[kind]);
      this.#adjust.hooks?.[kind].push(...wanted[kind]);
    }
    this.owners.add(this.container.id, plugin, Field.OciHooks);
  }

  #linuxParts(wanted: LinuxContainerAdjustment, plugin: string): void {
    this.#devices(wanted.devices, plugin);
    if (wanted.resources !== undefined) this.#resources(wanted.resources, plugin);
    if (wanted.cgroupsPath !== "") {
      this.#claim(plugin, Field.CgroupsPath);
      this.#linux.cgroupsPath = wanted.cgroupsPath;
      this.#changes.cgroupsPath = wanted.cgroupsPath;
    }
    this.#single("oomScoreAdj", Field.OomScoreAdj, wanted, plugin);
    this.#single("ioPriority", Field.IoPriority, wanted, plugin);
    this.#single("seccompPolicy", Field.SeccompPolicy, wanted, plugin);
    this.#namespaces(wanted.namespaces, plugin);
    const sysctl = { field: Field.Sysctl, plugin, none: "" };
    this.#map(wanted.sysctl, sysctl, this.#linux.sysctl, this.#changes.sysctl);
    const devices = { field: Field.LinuxNetDevices, plugin, none: { name: "" } };
    this.#map(wanted.netDevices, devices, this.#linux.netDevices, this.#changes.netDevices);
    this.#single("scheduler", Field.LinuxSched, wanted, plugin);
    if (wanted.rdt !== undefined) this.#rdt(wanted.rdt, plugin);
    if (wanted.memoryPolicy !== undefined) {
      this.#claim(plugin, Field.MemoryPolicy);
      this.#changes.memoryPolicy = wanted.memoryPolicy;
    }
  }

  #single<K extends "oomScoreAdj" | "ioPriority" | "seccompPolicy" | "scheduler">(
    name: K,
    field: Field,
    wanted: Pick<LinuxContainerAdjustment, K>,
    plugin: string,
  ): void {
    if (wanted[name] === undefined) return;
    this.#claim(plugin, field);
    Object.assign(this.#linux, { [name]: wanted[name] });
    Object.assign(this.#changes, { [name]: wanted[name] });
  }

  #devices(wanted: LinuxContainerAdjustment["devices"], plugin: string): void {
    const options = { field: Field.Devices, plugin, nameOf: ({ path }: { path: string }) => path };
    const { seen, reply } = this.#list(wanted, options, this.#linux.devices, this.#changes.devices);
    this.#linux.devices = seen;
    this.#changes.devices = reply;
  }

  #resources(wanted: NonNullable<LinuxContainerAdjustment["resources"]>, plugin: string): void {
    const container = this.container.id;
    this.#changes.resources = mergeResources(this.#changes.resources ?? noResources(), wanted, {
      owners: this.owners,
      container,
      plugin,
    });
    // Claimed above: here it only follows.
    const followed = { owners: new Owners(), container, plugin };
    this.#linux.resources = mergeResources(this.#linux.resources ?? noResources(), wanted, followed);
  }

  #namespaces(wanted: LinuxContainerAdjustment["namespaces"], plugin: string): void {
    for (const namespace of wanted) {
      const { name, removed } = parseRemoval(namespace.type);
      this.#claim(plugin, Field.Namespace, name);
      const others = this.#linux.namespaces.filter(({ type }) => type !== name);
      this.#linux.namespaces = removed ? others : [...others, namespace];
      this.#changes.namespaces.push(namespace);
    }
  }

  #rdt(wanted: LinuxRdt, plugin: string): void {
    const fields = {
      closId: Field.RdtClosID,
      schemata: Field.RdtSchemata,
      enableMonitoring: Field.RdtEnableMonitoring,
    } as const;
    let rdt = this.#changes.rdt ?? LinuxRdt.fromPartial({});
    if (wanted.remove) {
      for (const field of Object.values(fields)) this.#clear(plugin, field);
      rdt = LinuxRdt.fromPartial({ remove: true });
    }
    for (const [name, field] of Object.entries(fields) as [keyof typeof fields, Field][]) {
      if (wanted[name] === undefined) continue;
      this.#claim(plugin, field);
      rdt = { ...rdt, [name]: wanted[name], remove: false };
    }
    this.#changes.rdt = rdt;
  }
}
