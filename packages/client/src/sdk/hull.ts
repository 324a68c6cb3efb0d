import { existsSync } from "node:fs";
import { type HullError, isCode, unavailable } from "@hull/errors";
import type { CallDefaults, Client } from "../client.ts";
import { type ConnectOptions, connect as connectClient } from "../client.ts";
import { runSandboxed, type SandboxOptions, type SandboxResult } from "../sandbox/index.ts";
import { Containers } from "./containers.ts";
import { Content } from "./content.ts";
import { type EventsOptions, type HullEvent, type Topic, typedEvents } from "./events.ts";
import { type Image, Images, type PullOptions } from "./images.ts";
import { Leases } from "./leases.ts";
import { Namespaces } from "./namespaces.ts";
import type { RunOptions } from "./run-options.ts";
import { type RunningContainer, runContainer } from "./running.ts";
import { Snapshots } from "./snapshots.ts";

/**
 * Containers, images and what belongs to them, in one namespace of a daemon (or of an engine in this process).
 *
 *   connect() ──► pull, run, images, containers, events … ──► disposed of: the connection is closed, containers go on
 *
 * Everything that is made on the way and not yet anybody's is kept by leases, and taken away if a step fails.
 */
export class Hull implements AsyncDisposable {
  /** The services as containerd's API has them, for what isn't here: `api.service(definition)`, of `@hull/client/services`. */
  readonly api: Client;
  readonly images: Images;
  readonly containers: Containers;
  readonly content: Content;
  readonly snapshots: Snapshots;
  readonly leases: Leases;
  readonly namespaces: Namespaces;

  constructor(api: Client) {
    this.api = api;
    this.images = new Images(api);
    this.containers = new Containers(api);
    this.content = new Content(api);
    this.snapshots = new Snapshots(api);
    this.leases = new Leases(api);
    this.namespaces = new Namespaces(api);
  }

  get namespace(): string {
    return this.api.namespace;
  }

  /** The same in another namespace. */
  withNamespace(namespace: string): Hull {
    return new Hull(this.api.withNamespace(namespace));
  }

  /** The same, whose calls end with the signal, and after so many milliseconds each. */
  within(limits: CallDefaults): Hull {
    return new Hull(this.api.within(limits));
  }

  /** Fetches an image and unpacks it. `busybox` is `docker.io/library/busybox:latest`. */
  pull(reference: string, options: PullOptions = {}): Promise<Image> {
    return this.images.pull(reference, options);
  }

  /**
   * Makes a container of an image and starts it; the image is fetched if it isn't here.
   *
   *     await using container = await hull.run("alpine", { command: ["echo", "hello"] });
   *     console.log(await container.stdout.text());
   */
  run(image: string | Image, options: RunOptions = {}): Promise<RunningContainer> {
    return runContainer(this.api, this.images, image, options);
  }

  /**
   * Runs a program that isn't trusted, within limits of memory, time, processes, files and output, without a network, and takes everything
   * away again.
   *
   *     const { outcome, stdout } = await hull.sandbox("busybox", { command: ["sh", "-c", code], timeMs: 2000 });
   */
  sandbox(image: string | Image, options: SandboxOptions): Promise<SandboxResult> {
    return runSandboxed(this, image, options);
  }

  /**
   * What happens, as it happens; of all namespaces unless filtered. Leave the loop to end it.
   *
   *     for await (const { event } of hull.events({ topics: ["/tasks/exit"] })) console.log(event.exitStatus);
   */
  events<T extends Topic = Topic>(options: EventsOptions<T> = {}): AsyncIterable<HullEvent<T>> {
    return typedEvents(this.api, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api[Symbol.asyncDispose]();
  }
}

/** Where a containerd listens that a system came with. */
const containerdAddress = "/run/containerd/containerd.sock";

/**
 * Connects to a daemon: hull's, or any that speaks containerd's API.
 * @throws Unavailable, naming the address, if nobody answers there
 */
export async function connect(options: ConnectOptions = {}): Promise<Hull> {
  try {
    return new Hull(await connectClient(options));
  } catch (error) {
    if (!isCode(error, "unavailable") || options.address !== undefined) throw error;
    throw unavailable(`${error.message}: ${whatToDo(error)}`, { cause: error.cause });
  }
}

/** What helps whoever has said no address. */
function whatToDo({ cause }: HullError): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EACCES" || code === "EPERM") return "run the program as root, whose the socket is";
  const other = existsSync(containerdAddress)
    ? `connect({ address: "${containerdAddress}" }) takes the containerd that is there`
    : "name another daemon's socket, connect({ address })";
  return `start hull's daemon (hull daemon); or ${other}; or use Engine.open of @hull/engine, which needs none`;
}
