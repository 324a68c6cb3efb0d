import { chmod, mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import {
  Container,
  type ContainerUpdate,
  Event,
  type LinuxResources,
  type PodSandbox,
} from "@hull/api/gen/nri/v1alpha1/nri";
import { HullError, permissionDenied } from "@hull/errors";
import { type ByteLink, type LinkListener, linkFactory } from "@hull/link";
import { peerCredentials } from "@hull/sys/socket";
import type { Child } from "@hull/sys/spawn";
import { KeyedLock } from "../runtime/keyed-lock.ts";
import { type ConnectionOptions, PluginConnection } from "./connection.ts";
import { validateByRules } from "./default-validator.ts";
import type { Creation, Nri, NriHost, NriOptions } from "./index.ts";
import { type InstalledPlugin, installedPlugins, launch } from "./launch.ts";
import { Creation as Merged } from "./merge.ts";
import { Updates } from "./merge-updates.ts";
import { Owners } from "./owners.ts";

/** The version of the protocol's library that plugins are told. */
const protocolVersion = "v0.11.0";
const SIGKILL = 9;

/** See `Nri`. */
export class NriManager implements Nri {
  readonly #options: NriOptions;
  readonly #host: NriHost;
  readonly #lock = new KeyedLock();
  readonly #children = new Map<PluginConnection, Child>();
  #plugins: PluginConnection[] = [];
  #listener: LinkListener | undefined;
  #closed = false;

  private constructor(options: NriOptions, host: NriHost) {
    this.#options = options;
    this.#host = host;
  }

  /** See `startNri`. */
  static async start(options: NriOptions, host: NriHost): Promise<NriManager> {
    const manager = new NriManager(options, host);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => manager.close());
    for (const plugin of await installedPlugins(options.plugins, options.configs)) await manager.#launch(plugin);
    await manager.#listen();
    undo.move();
    return manager;
  }

  plugins(): string[] {
    return this.#plugins.filter(({ isOpen }) => isOpen).map(({ name }) => name);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listener?.stop();
    if (this.#listener !== undefined && this.#options.socket !== undefined)
      await rm(this.#options.socket, { force: true });
    const closed = this.#plugins.map((plugin) => plugin.closed);
    for (const plugin of this.#plugins) plugin.close();
    const ended = [...this.#children.values()].map((child) => {
      child.kill(SIGKILL);
      return child.ended;
    });
    await Promise.all([...closed, ...ended]);
  }

  async #launch(installed: InstalledPlugin): Promise<void> {
    const name = `${installed.index}-${installed.base}`;
    try {
      const { link, child } = await launch(installed);
      const connection = new PluginConnection(link, this.#connectionOptions(), installed);
      this.#children.set(connection, child);
      void connection.closed.then(() => child.kill(SIGKILL));
      void child.ended.then(() => this.#children.delete(connection));
      await this.#admit(connection, installed.config);
    } catch (error) {
      this.#complain(`installed plugin "${name}" could not be started`, error);
    }
  }

  async #listen(): Promise<void> {
    const { socket } = this.#options;
    if (socket === undefined) return;
    const { listen } = await linkFactory();
    await mkdir(dirname(socket), { recursive: true, mode: 0o700 });
    await rm(socket, { force: true });
    this.#listener = await listen({ path: socket }, (link, { fd }) => {
      // A plugin can give itself the host's every right.
      if (peerCredentials(fd).user === process.getuid?.()) void this.#accept(link);
      else link.destroy();
    });
    await chmod(socket, 0o600);
  }

  async #accept(link: ByteLink): Promise<void> {
    const connection = new PluginConnection(link, this.#connectionOptions());
    try {
      await this.#admit(connection, "");
    } catch (error) {
      connection.close();
      this.#complain("a plugin that connected could not be taken", error);
    }
  }

  /** Configures a plugin, tells it what there is, and calls it from then on. */
  async #admit(plugin: PluginConnection, config: string): Promise<void> {
    const host = this.#host;
    const { name: runtimeName, version: runtimeVersion } = host;
    await plugin.configure({ config, runtimeName, runtimeVersion, NRIVersion: protocolVersion });
    // No event in between: what it is told of now it must not be told of again, nor miss. The host is asked first: whom it waits for then may
    // be waiting for the end of an event.
    await host.synchronize((pods, containers) =>
      this.#alone(async () => {
        const updates = await plugin.synchronize(pods, containers);
        if (this.#closed) return plugin.close();
        this.#plugins = [...this.#plugins, plugin].sort((a, b) => (a.index < b.index ? -1 : a.index > b.index ? 1 : 0));
        if (updates.length > 0) await host.update(updates);
      }),
    );
    void plugin.closed.then(() => {
      this.#plugins = this.#plugins.filter((other) => other !== plugin);
    });
    this.#options.log.log("info", "an NRI plugin was taken", { plugin: plugin.name });
  }

  #connectionOptions(): ConnectionOptions {
    const { registrationTimeout, requestTimeout, log } = this.#options;
    return { registrationTimeout, requestTimeout, log, update: (updates) => this.#host.update(updates) };
  }

  #complain(what: string, error: unknown): void {
    this.#options.log.log("warn", `NRI: ${what}`, { error: HullError.from(error).message });
  }

  /** One event at a time goes round the plugins. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#lock.run("", work);
  }

  #tell(
    event: Event,
    about: { pod: PodSandbox; container?: Container },
    call: Parameters<PluginConnection["tell"]>[2],
  ): Promise<void> {
    return this.#alone(async () => {
      for (const plugin of this.#plugins) await plugin.tell(event, about, call);
    });
  }

  runPodSandbox(pod: PodSandbox): Promise<void> {
    return this.#tell(Event.RUN_POD_SANDBOX, { pod }, (calls, options) => calls.runPodSandbox({ pod }, options));
  }

  updatePodSandbox(pod: PodSandbox, overhead: LinuxResources, resources: LinuxResources): Promise<void> {
    const request = { pod, overheadLinuxResources: overhead, linuxResources: resources };
    return this.#alone(async () => {
      for (const plugin of this.#plugins)
        await plugin.call(Event.UPDATE_POD_SANDBOX, (calls, options) => calls.updatePodSandbox(request, options));
    });
  }

  postUpdatePodSandbox(pod: PodSandbox): Promise<void> {
    return this.#tell(Event.POST_UPDATE_POD_SANDBOX, { pod }, (calls, options) =>
      calls.postUpdatePodSandbox({ pod }, options),
    );
  }

  stopPodSandbox(pod: PodSandbox): Promise<void> {
    return this.#tell(Event.STOP_POD_SANDBOX, { pod }, (calls, options) => calls.stopPodSandbox({ pod }, options));
  }

  removePodSandbox(pod: PodSandbox): Promise<void> {
    return this.#tell(Event.REMOVE_POD_SANDBOX, { pod }, (calls, options) => calls.removePodSandbox({ pod }, options));
  }

  createContainer(pod: PodSandbox, container: Container): Promise<Creation> {
    return this.#alone(async () => {
      const merged = new Merged(container);
      const asked: PluginConnection[] = [];
      for (const plugin of this.#plugins) {
        asked.push(plugin);
        const answer = await plugin.call(Event.CREATE_CONTAINER, (calls, options) =>
          calls.createContainer({ pod, container: merged.container }, options),
        );
        if (answer !== undefined) merged.apply(answer, plugin.name);
      }
      const result = merged.result();
      await this.#validate(pod, container, { asked, merged, result });
      return result;
    });
  }

  async #validate(
    pod: PodSandbox,
    container: Container,
    { asked, merged, result }: { asked: readonly PluginConnection[]; merged: Merged; result: Creation },
  ): Promise<void> {
    const event = Event.VALIDATE_CONTAINER_ADJUSTMENT;
    const request = {
      pod,
      container: Container.fromPartial(container),
      adjust: result.adjust,
      update: result.updates,
      owners: merged.owners.message(),
      plugins: asked.map(({ base: name, index }) => ({ name, index })),
    };
    const { rules } = this.#options;
    if (rules !== undefined) await validateByRules(rules, request);
    const validators = this.#plugins.filter((plugin) => plugin.wants(event));
    await Promise.all(
      validators.map(async (plugin) => {
        const answer = await plugin.call(event, (calls, options) =>
          calls.validateContainerAdjustment(request, options),
        );
        // One that was to check and didn't has not agreed.
        if (answer === undefined) throw permissionDenied(`validator plugin ${plugin.name} failed: it did not answer`);
        if (!answer.reject) return;
        const reason = answer.reason === "" ? "unknown rejection reason" : answer.reason;
        throw permissionDenied(`validator "${plugin.name}" rejected container adjustment, reason: ${reason}`);
      }),
    );
  }

  postCreateContainer(pod: PodSandbox, container: Container): Promise<void> {
    return this.#tell(Event.POST_CREATE_CONTAINER, { pod, container }, (calls, options) =>
      calls.postCreateContainer({ pod, container }, options),
    );
  }

  startContainer(pod: PodSandbox, container: Container): Promise<void> {
    return this.#tell(Event.START_CONTAINER, { pod, container }, (calls, options) =>
      calls.startContainer({ pod, container }, options),
    );
  }

  postStartContainer(pod: PodSandbox, container: Container): Promise<void> {
    return this.#tell(Event.POST_START_CONTAINER, { pod, container }, (calls, options) =>
      calls.postStartContainer({ pod, container }, options),
    );
  }

  updateContainer(
    pod: PodSandbox,
    container: Container,
    resources: LinuxResources,
  ): Promise<{ resources: LinuxResources; updates: ContainerUpdate[] }> {
    return this.#alone(async () => {
      const merged = new Updates(new Owners(), { requested: { id: container.id, resources } });
      for (const plugin of this.#plugins) {
        const linuxResources = merged.resources ?? resources;
        const answer = await plugin.call(Event.UPDATE_CONTAINER, (calls, options) =>
          calls.updateContainer({ pod, container, linuxResources }, options),
        );
        if (answer !== undefined) merged.apply(answer.update, plugin.name);
      }
      const updates = merged.all().filter(({ containerId }) => containerId !== container.id);
      return { resources: merged.resources ?? resources, updates };
    });
  }

  postUpdateContainer(pod: PodSandbox, container: Container): Promise<void> {
    return this.#tell(Event.POST_UPDATE_CONTAINER, { pod, container }, (calls, options) =>
      calls.postUpdateContainer({ pod, container }, options),
    );
  }

  stopContainer(pod: PodSandbox, container: Container): Promise<ContainerUpdate[]> {
    return this.#alone(async () => {
      const merged = new Updates(new Owners());
      for (const plugin of this.#plugins) {
        const answer = await plugin.call(Event.STOP_CONTAINER, (calls, options) =>
          calls.stopContainer({ pod, container }, options),
        );
        if (answer !== undefined) merged.apply(answer.update, plugin.name);
      }
      return merged.all();
    });
  }

  removeContainer(pod: PodSandbox, container: Container): Promise<void> {
    return this.#tell(Event.REMOVE_CONTAINER, { pod, container }, (calls, options) =>
      calls.removeContainer({ pod, container }, options),
    );
  }
}
