import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hull, RunningContainer } from "@hull/client";
import { failedPrecondition } from "@hull/errors";
import { removeContainers, removeFolder, sessionLabel } from "./clean-up.ts";
import { type StartOptions, TestContainer } from "./container.ts";
import { TestNetwork } from "./network.ts";
import { makeNetwork, removeNetwork, removeNetworks } from "./own-networks.ts";
import { findDaemon, openPlace, type Place } from "./place.ts";
import { type Reaper, startReaper } from "./reaper/index.ts";
import { waitForAll } from "./wait.ts";

/** Where containers for tests are run. */
export interface SessionOptions {
  /**
   * A daemon's socket, or `engine` for an engine in this process whatever is there. Unless told: what `HULL_ADDRESS` or
   * `CONTAINERD_ADDRESS` names; else the daemon that runs at the usual place of hull or containerd; else an engine in this process.
   */
  readonly address?: "engine" | (string & Record<never, never>) | undefined;
  /** `default` unless told. */
  readonly namespace?: string;
  /** Of an engine in this process: where it keeps images from one session to the next. A temporary folder unless told. */
  readonly root?: string;
  /** Tables of an engine's configuration: see `Engine.open`. */
  readonly plugins?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** How long what isn't used is kept open, ms: an open connection keeps a program of Node from ending. */
const idleMs = 200;

/**
 * Containers that go together when the session ends, or this process, however it ends.
 *
 *   openSession ──► startContainer, createNetwork, withHull … ──► disposed of
 */
export class Session implements AsyncDisposable {
  /** What its containers have as the label `hull.testing/session`. */
  readonly id: string;
  readonly #place: Place;
  readonly #folder: string;
  readonly #reaper: Reaper;
  #hull: Promise<Hull> | undefined;
  #users = 0;
  #idle: NodeJS.Timeout | undefined;
  #closing: Promise<void> = Promise.resolve();
  #networks = 0;
  #disposed: Promise<void> | undefined;

  private constructor(id: string, place: Place, folder: string) {
    this.id = id;
    this.#place = place;
    this.#folder = folder;
    this.#reaper = startReaper({ session: id, place, folder });
  }

  /** See `openSession`. */
  static async open({ address, namespace = "default", root, plugins = {} }: SessionOptions): Promise<Session> {
    const daemon = address === "engine" ? undefined : await findDaemon(address);
    // Short: sockets below it have to fit into 107 bytes.
    const folder = mkdtempSync(join(tmpdir(), "hull-testing-"));
    const place: Place =
      daemon === undefined
        ? { kind: "engine", root: root ?? join(folder, "root"), state: join(folder, "state"), namespace, plugins }
        : { kind: "daemon", address: daemon, namespace };
    return new Session(crypto.randomUUID(), place, folder);
  }

  /**
   * Starts a container and waits until it is up.
   * @throws DeadlineExceeded or FailedPrecondition, with its output, if it doesn't come up; it is gone by then
   */
  async startContainer(image: string, options: StartOptions = {}): Promise<TestContainer> {
    const { ports = [], wait = [], timeoutMs = 60_000, network, names = [], labels = {}, ...rest } = options;
    TestNetwork.checkNames(names);
    const shared = network instanceof TestNetwork ? network : undefined;
    if (names.length > 0 && shared === undefined)
      throw failedPrecondition("names are for networks of createNetwork: give one as `network`");
    const hull = await this.#acquire();
    let running: RunningContainer;
    try {
      const [hostname = rest.hostname] = names;
      running = await hull.run(image, {
        ...rest,
        ...(hostname === undefined ? {} : { hostname }),
        labels: { ...labels, [sessionLabel]: this.id },
        publish: [...(rest.publish ?? []), ...ports.map((container) => ({ container }))],
        mounts: [...(shared === undefined ? [] : [shared.mount]), ...(rest.mounts ?? [])],
        ...(network === undefined ? {} : { network: network instanceof TestNetwork ? network.name : network }),
      });
    } catch (error) {
      this.#release();
      throw error;
    }
    const container = new TestContainer(image, running, async () => {
      shared?.delete(running);
      this.#release();
    });
    try {
      shared?.add(running, names);
      await waitForAll(container, wait, timeoutMs);
      return container;
    } catch (error) {
      await container[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * A network whose containers find each other by name, and reach no others. It goes with the session, or when it is disposed of.
   * @param name to give names on a network that `hull.run` knows, and that others may be on, rather than on a new one
   * @throws FailedPrecondition if a network can't be made; Unavailable without the executable `hull`
   */
  async createNetwork({ name }: { readonly name?: string } = {}): Promise<TestNetwork> {
    const number = this.#networks++;
    const file = join(this.#folder, `hosts-${number}`);
    if (name !== undefined) return new TestNetwork(name, file, async () => {});
    const made = await makeNetwork(this.id, number);
    return new TestNetwork(made, file, () => removeNetwork(made));
  }

  /** Does something with the images and all else that is where the containers are. What `work` gives mustn't need it any more. */
  async withHull<T>(work: (hull: Hull) => Promise<T>): Promise<T> {
    const hull = await this.#acquire();
    try {
      return await work(hull);
    } finally {
      this.#release();
    }
  }

  /** Takes all containers of the session away. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#end();
    await this.#disposed;
  }

  async #end(): Promise<void> {
    await this.withHull((hull) => removeContainers(hull, this.id));
    if (this.#networks > 0) await removeNetworks(this.id);
    clearTimeout(this.#idle);
    this.#close();
    await this.#closing;
    removeFolder(this.#folder);
    await this.#reaper.dismiss();
  }

  async #acquire(): Promise<Hull> {
    clearTimeout(this.#idle);
    this.#users++;
    // An engine has to be closed before it can be opened again.
    this.#hull ??= this.#closing.then(() => openPlace(this.#place));
    try {
      return await this.#hull;
    } catch (error) {
      this.#hull = undefined;
      this.#users--;
      throw error;
    }
  }

  #release(): void {
    if (--this.#users === 0) this.#idle = setTimeout(() => this.#close(), idleMs);
  }

  #close(): void {
    const open = this.#hull;
    this.#hull = undefined;
    if (open !== undefined) this.#closing = open.then((hull) => hull[Symbol.asyncDispose]()).catch(() => {});
  }
}

/** A session of its own, where containers are run at a place that is told. Those of `startContainer` share one. */
export function openSession(options: SessionOptions = {}): Promise<Session> {
  return Session.open(options);
}

let shared: Promise<Session> | undefined;

/** The session of this process. */
function sharedSession(): Promise<Session> {
  shared ??= Session.open({}).catch((error: unknown) => {
    shared = undefined;
    throw error;
  });
  return shared;
}

/**
 * Starts a container and waits until it is up.
 *
 *     await using redis = await startContainer("redis", { ports: [6379], wait: [forPort(6379)] });
 *
 * @throws DeadlineExceeded or FailedPrecondition, with its output, if it doesn't come up; it is gone by then
 */
export async function startContainer(image: string, options: StartOptions = {}): Promise<TestContainer> {
  return await (await sharedSession()).startContainer(image, options);
}

/** A network whose containers find each other by name, and reach no others: `startContainer("app", { network, names: ["app"] })`. */
export async function createNetwork(options: { readonly name?: string } = {}): Promise<TestNetwork> {
  return await (await sharedSession()).createNetwork(options);
}

/** Does something with the images and all else that is where the containers are: `withHull((hull) => hull.pull("redis"))`. */
export async function withHull<T>(work: (hull: Hull) => Promise<T>): Promise<T> {
  return await (await sharedSession()).withHull(work);
}
