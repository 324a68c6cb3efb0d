import {
  type ConfigureRequest,
  type Container,
  type ContainerUpdate,
  Event,
  PluginDefinition,
  type PodSandbox,
  RuntimeDefinition,
} from "@hull/api/gen/nri/v1alpha1/nri";
import type { ServiceClient } from "@hull/api/rpc";
import { deadlineExceeded, failedPrecondition, HullError, invalidArgument, isCode, unavailable } from "@hull/errors";
import type { ByteLink } from "@hull/link";
import { TtrpcConnection, ttrpcClient } from "@hull/ttrpc/client";
import { TtrpcServer } from "@hull/ttrpc/server";
import type { Logger } from "../log.ts";
import { channels, Mux } from "./mux.ts";

/** What a connection needs of the runtime. */
export interface ConnectionOptions {
  /** Milliseconds from the connection to the registration. */
  registrationTimeout: number;
  /** Milliseconds that a plugin has to answer. */
  requestTimeout: number;
  update(updates: ContainerUpdate[]): Promise<ContainerUpdate[]>;
  log: Logger;
}

type Calls = ServiceClient<PluginDefinition>;

/** Events that a plugin may subscribe to. */
const allEvents = 2 ** (Event.LAST - 1) - 1;
/** With fewer pods and containers a message isn't made smaller. */
const fewest = 8;

/**
 * A plugin that has connected: it serves its calls on one channel of its connection, and we ours on the other.
 *
 *   connected ──register (theirs)──► configure ──► synchronize ──► calls of the events it asked for ──► closed
 */
export class PluginConnection {
  /** Two digits: the order in which plugins are called. */
  index: string;
  base: string;
  readonly closed: Promise<void>;
  readonly #options: ConnectionOptions;
  readonly #mux: Mux;
  readonly #calls: Calls;
  readonly #registered = Promise.withResolvers<void>();
  #events = 0;
  #open = true;

  /** With `known` the plugin is one that we have launched: its own name for itself doesn't count. */
  constructor(link: ByteLink, options: ConnectionOptions, known?: { index: string; base: string }) {
    this.#options = options;
    this.index = known?.index ?? "";
    this.base = known?.base ?? "";
    this.#registered.promise.catch(() => {});
    this.#mux = new Mux(link);
    const connection = new TtrpcConnection(this.#mux.open(channels.plugin));
    this.#calls = ttrpcClient(PluginDefinition, connection);
    this.closed = connection.closed.then(() => {
      this.#open = false;
      this.#registered.reject(unavailable("failed to register plugin, connection closed"));
    });
    const server = new TtrpcServer().register(RuntimeDefinition, {
      registerPlugin: async ({ pluginName, pluginIdx }) => {
        if (known === undefined) this.#named(pluginIdx, pluginName);
        this.#registered.resolve();
        return {};
      },
      updateContainers: async ({ update }) => ({ failed: await this.#options.update(update) }),
    });
    server.accept(this.#mux.open(channels.runtime));
    this.#mux.start();
  }

  get name(): string {
    return `${this.index}-${this.base}`;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  close(): void {
    this.#open = false;
    this.#mux.close();
  }

  #named(index: string, base: string): void {
    try {
      checkPluginIndex(index);
      checkPluginName(base);
    } catch (error) {
      this.#registered.reject(error);
      throw error;
    }
    this.index = index;
    this.base = base;
  }

  /** Waits for its registration and configures it. @throws DeadlineExceeded, or what the plugin answers; it is closed then */
  async configure(request: Omit<ConfigureRequest, "registrationTimeout" | "requestTimeout">): Promise<void> {
    const { registrationTimeout, requestTimeout: timeoutMs } = this.#options;
    try {
      await within(registrationTimeout, this.#registered.promise, "plugin registration timed out");
      const { events } = await this.#calls.configure(
        { ...request, registrationTimeout: BigInt(registrationTimeout), requestTimeout: BigInt(timeoutMs) },
        { timeoutMs },
      );
      const unknown = events & ~allEvents;
      if (unknown !== 0) throw invalidArgument(`invalid plugin events: 0x${(unknown >>> 0).toString(16)}`);
      this.#events = events === 0 ? allEvents : events;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Tells it of all that there is, in as many messages as that takes; gives the updates that it wants. It is closed if that fails. */
  async synchronize(pods: PodSandbox[], containers: Container[]): Promise<ContainerUpdate[]> {
    let size = [pods.length, containers.length] as const;
    let [restPods, restContainers] = [pods, containers];
    // The last step of its registration, and longer than any call: of a node's every pod.
    const { requestTimeout, registrationTimeout } = this.#options;
    const timeoutMs = Math.max(requestTimeout, registrationTimeout);
    try {
      for (;;) {
        const [somePods, someContainers] = [restPods.slice(0, size[0]), restContainers.slice(0, size[1])];
        const more = restPods.length > size[0] || restContainers.length > size[1];
        const request = { pods: somePods, containers: someContainers, more };
        let answer: Awaited<ReturnType<Calls["synchronize"]>>;
        try {
          answer = await this.#calls.synchronize(request, { timeoutMs });
        } catch (error) {
          if (!isCode(error, "resourceExhausted") || size[0] + size[1] <= fewest) throw error;
          size = [Math.ceil(size[0] / 2), Math.ceil(size[1] / 2)];
          continue;
        }
        if (!more) return answer.update;
        if (answer.update.length > 0 || !answer.more)
          throw failedPrecondition(`plugin "${this.name}" does not handle split sync requests`);
        restPods = restPods.slice(size[0]);
        restContainers = restContainers.slice(size[1]);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** True if it wants to know of such events. */
  wants(event: Event): boolean {
    return this.#open && (this.#events & (1 << (event - 1))) !== 0;
  }

  /**
   * Calls it if it subscribed to the event. One that doesn't answer in time, or not at all, is closed, and gives undefined, as does one
   * that didn't subscribe.
   * @throws what the plugin answers
   */
  async call<T>(
    event: Event,
    call: (calls: Calls, options: { timeoutMs: number }) => Promise<T>,
  ): Promise<T | undefined> {
    if (!this.wants(event)) return undefined;
    try {
      return await call(this.#calls, { timeoutMs: this.#options.requestTimeout });
    } catch (error) {
      if (!isCode(error, "deadlineExceeded") && this.#open) throw error;
      const why = HullError.from(error).message;
      this.#options.log.log("error", "an NRI plugin is left out", { plugin: this.name, event, error: why });
      this.close();
      return undefined;
    }
  }

  /** An event without an answer: older plugins know one call for all of them. */
  async tell(
    event: Event,
    { pod, container }: { pod: PodSandbox; container?: Container },
    call: (calls: Calls, options: { timeoutMs: number }) => Promise<unknown>,
  ): Promise<void> {
    await this.call(event, async (calls, options) => {
      try {
        await call(calls, options);
      } catch (error) {
        if (!isCode(error, "unimplemented")) throw error;
        await calls.stateChange({ event, pod, container }, options);
      }
    });
  }
}

async function within(milliseconds: number, work: Promise<void>, what: string): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(deadlineExceeded(what)), milliseconds);
  try {
    await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** @throws InvalidArgument unless it is two digits */
export function checkPluginIndex(index: string): void {
  if (index.length !== 2) throw invalidArgument(`invalid plugin index "${index}", must be 2 digits`);
  if (!/^\d\d$/.test(index)) throw invalidArgument(`invalid plugin index "${index}" (not [0-9][0-9])`);
}

/** @throws InvalidArgument */
export function checkPluginName(name: string): void {
  if (name === "") throw invalidArgument("invalid plugin name: name is empty");
  const wrong = /[^A-Za-z0-9_.+-]/u.exec(name)?.[0];
  if (wrong !== undefined)
    throw invalidArgument(`invalid plugin name "${name}": contains invalid character "${wrong}"`);
}
