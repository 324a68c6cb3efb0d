import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { alreadyExists, canceled, failedPrecondition, HullError, invalidArgument } from "@hull/errors";
import { hostPlatform } from "@hull/oci/platform";
import { resolveUser, type SpecUser, withCgroupsPath } from "@hull/oci/spec";
import type { Client } from "../client.ts";
import {
  type Container as ContainerRecord,
  createContainer,
  removeContainer,
  specOf as specOfRecord,
} from "../containers.ts";
import { isUnpacked } from "../images.ts";
import { logLabel, logPlaceOf, prepareLog, removeLog } from "../logs/index.ts";
import { type Process as ApiProcess, execProcess, newTask } from "../tasks.ts";
import { placeFiles } from "./file-options.ts";
import { type Image, type Images, imageToRun } from "./images.ts";
import { type LogLine, type LogsOptions, logLabels, logsOf } from "./log-options.ts";
import { type ContainerNetwork, networkOfRecord, networkParts } from "./network-options.ts";
import { type Exit, ignoring, Process, type StopOptions, stopProcess } from "./process.ts";
import {
  argumentsOf,
  type CreateOptions,
  type ProcessOptions,
  type RunOptions,
  specOf,
  variablesOf,
} from "./run-options.ts";
import { type ContainerStats, statsOf } from "./stats.ts";
import { Stdio } from "./stdio.ts";

const defaultRuntime = "io.containerd.runc.v2";
const defaultSnapshotter = "overlayfs";

/** A container that was started, and its first process. Disposing of it ends it and takes it away, files and all. */
export class RunningContainer extends Process {
  readonly id: string;
  readonly #client: Client;
  readonly #record: ContainerRecord;
  readonly #network: ContainerNetwork;
  #disposed: Promise<void> | undefined;

  private constructor(
    client: Client,
    record: ContainerRecord,
    parts: { task: ApiProcess; stdio: Stdio; exit: Promise<Exit>; network: ContainerNetwork },
  ) {
    super(parts.task, parts.stdio, parts.exit);
    this.id = record.id;
    this.#client = client;
    this.#record = record;
    this.#network = parts.network;
  }

  /** Starts the first process of a container. */
  static async start(client: Client, record: ContainerRecord, options: ProcessOptions): Promise<RunningContainer> {
    const { tty = false, stdin = "ignore", stdout = "pipe", stderr = "pipe" } = options;
    // Whoever asks for streams wants these.
    const place = options.stdout === undefined && options.stderr === undefined ? logPlaceOf(record) : undefined;
    if (place !== undefined) prepareLog(place);
    const log = place === undefined ? undefined : record.labels[logLabel];
    const stdio = await Stdio.open({ terminal: tty !== false, stdin, stdout, stderr, log });
    let task: ApiProcess;
    try {
      task = await newTask(client, record, stdio.io);
    } catch (error) {
      stdio.close(error);
      throw error;
    }
    const { exit } = await Process.begin(task, stdio);
    const network = await networkOfRecord(record, client.namespace);
    const started = new RunningContainer(client, record, { task, stdio, exit, network });
    if (typeof tty === "object") await started.resize(tty);
    return started;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#record.labels;
  }

  /** Its address in its network, by which this host and its neighbours reach it; undefined if it is on none. */
  get address(): string | undefined {
    return this.#network.address;
  }

  /**
   * The port of the host that leads to a port of the container: that which `publish` asked for, or the free one that was found.
   * @throws FailedPrecondition if it isn't published
   */
  port(container: number, protocol: "tcp" | "udp" | "sctp" = "tcp"): number {
    if (this.#network.host) return container;
    const found = this.#network.ports.find((one) => one.containerPort === container && one.protocol === protocol);
    if (found !== undefined) return found.hostPort;
    throw failedPrecondition(
      `port ${container}/${protocol} of container "${this.id}" is not published: run it with publish: [{ container: ${container} }]`,
    );
  }

  /** The lines of its log, as `Container.logs`. */
  logs(options: LogsOptions = {}): AsyncGenerator<LogLine, void, undefined> {
    return logsOf(this.#client, this.#record, options);
  }

  /** Runs another process in it. */
  async exec(command: readonly string[], options: ProcessOptions = {}): Promise<ExecutedProcess> {
    return await ExecutedProcess.start(this.#client, this.#record, command, options);
  }

  /** Asks it to end, and kills it if it hasn't after so many milliseconds (10,000). */
  async stop(options: StopOptions = {}): Promise<Exit> {
    return await stopProcess({ kill: (signal) => this.kill(signal), exit: this.exit }, options);
  }

  /** What its processes take. @throws FailedPrecondition if it has ended */
  stats(): Promise<ContainerStats> {
    return statsOf(this.#client, this.id);
  }

  async pause(): Promise<void> {
    await this.#client.service(TasksDefinition).pause({ containerId: this.id });
  }

  async resume(): Promise<void> {
    await this.#client.service(TasksDefinition).resume({ containerId: this.id });
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= super[Symbol.asyncDispose]().then(() => removeWithLog(this.#client, this.#record));
    await this.#disposed;
  }
}

/** A process beside a container's first one. Disposing of it ends it. */
export class ExecutedProcess extends Process {
  static async start(
    client: Client,
    record: ContainerRecord,
    command: readonly string[],
    options: ProcessOptions,
  ): Promise<ExecutedProcess> {
    const own = specOfRecord(record)?.process;
    if (own === undefined) throw new TypeError(`the spec of container "${record.id}" can't be read`);
    const { tty = false, stdin = "ignore", stdout = "pipe", stderr = "pipe", env = {}, cwd, user } = options;
    const args = [...argumentsOf("command", command)];
    const variables = variablesOf(env);
    const stdio = await Stdio.open({ terminal: tty !== false, stdin, stdout, stderr });
    const names = new Set(Object.keys(env));
    const kept = (own.env ?? []).filter((variable) => !names.has(variable.split("=", 1)[0] ?? ""));
    const spec = {
      ...own,
      args,
      terminal: tty !== false,
      env: [...kept, ...variables],
      ...(cwd === undefined ? {} : { cwd }),
      ...(user === undefined ? {} : { user: numericUser(user) }),
    };
    let process: ApiProcess;
    try {
      process = await execProcess(client, record.id, `exec-${crypto.randomUUID()}`, spec, stdio.io);
    } catch (error) {
      stdio.close(error);
      throw error;
    }
    const { exit } = await Process.begin(process, stdio);
    const started = new ExecutedProcess(process, stdio, exit);
    if (typeof tty === "object") await started.resize(tty);
    return started;
  }
}

/** Names are in files of the container, which a client doesn't see once it runs. */
const numericUser = (user: string): SpecUser => resolveUser(user, {});

/** See `Hull.run`. */
export async function runContainer(
  client: Client,
  images: Images,
  image: string | Image,
  options: RunOptions,
): Promise<RunningContainer> {
  const { signal, pull = "missing", log = false, stdout, stderr } = options;
  if (log !== false && (stdout !== undefined || stderr !== undefined))
    throw invalidArgument("output goes to the log or to streams, not to both: leave out log, or stdout and stderr");
  signal?.throwIfAborted();
  const limits = signal === undefined ? {} : { signal };
  const found = await imageToRun(images, image, { pull, ...limits, ...pullOptionsOf(options) });
  const record = await createFromOptions(client, found, options);
  try {
    const container = await RunningContainer.start(client, record, options);
    const end = (): void => void container.kill("SIGKILL").catch(() => {});
    signal?.addEventListener("abort", end);
    void container.exit.catch(() => {}).then(() => signal?.removeEventListener("abort", end));
    if (signal?.aborted) {
      await container[Symbol.asyncDispose]();
      throw canceled("the run was canceled", { cause: signal.reason });
    }
    return container;
  } catch (error) {
    await removeWithLog(client, record).catch(() => {});
    throw HullError.from(error);
  }
}

/** Takes a container away that may have gone already, and its log. */
export async function removeWithLog(client: Client, record: ContainerRecord): Promise<void> {
  await ignoring("notFound", removeContainer(client, record));
  removeLog(record);
}

const pullOptionsOf = ({ platform, snapshotter }: RunOptions) => ({
  ...(platform === undefined ? {} : { platform }),
  ...(snapshotter === undefined ? {} : { snapshotter }),
});

/** Makes the record and the snapshot of a container. */
export async function createFromOptions(
  client: Client,
  image: Image,
  options: CreateOptions,
): Promise<ContainerRecord> {
  const { id = randomId(), snapshotter = defaultSnapshotter, platform = hostPlatform(), labels = {} } = options;
  const platformImage = await image.forPlatform(platform);
  if (!(await isUnpacked(client, platformImage, snapshotter))) await image.unpack({ snapshotter, platform });
  const { namespace, address, mark } = client;
  const network = await networkParts(options, { id, namespace, address, mark });
  const group = mark === undefined ? [] : [withCgroupsPath(`/${namespace}/${id}-${mark}`)];
  const steps = [...group, ...network.steps];
  const { profileFor } = await import("@hull/engine/apparmor/index");
  const apparmor = await profileFor(options.apparmor);
  const spec = specOf(options, { id, namespace, image: platformImage.config, steps, apparmor });
  const user = options.user ?? platformImage.config.config.user;
  try {
    return await createContainer(client, {
      id,
      labels: { ...labels, ...network.labels, ...(await logLabels(client, id, options.log)) },
      runtime: { name: options.runtime ?? defaultRuntime },
      rootfs: {
        image: platformImage,
        imageName: image.name,
        snapshotter,
        ...(options.storage === undefined
          ? {}
          : { snapshotLabels: { "containerd.io/snapshot/max-size": String(options.storage) } }),
      },
      spec: async (mounts) => {
        if (options.files !== undefined && options.files.length > 0) await placeFiles(client, mounts, options.files);
        return { ...spec, process: { ...spec.process, user: await userOf(user, mounts) } };
      },
    });
  } catch (error) {
    const known = HullError.from(error);
    if (known.code === "alreadyExists") throw alreadyExists(`container "${id}": choose another id, or remove it`);
    throw known;
  }
}

/** Numbers mean what they say; names are looked up in the root file system, which is mounted for it. */
async function userOf(
  user: string,
  mounts: Parameters<typeof import("../io/host.ts").userInRoot>[0],
): Promise<SpecUser> {
  if (user === "" || /^\d+(:\d+)?$/.test(user)) return resolveUser(user, {});
  const { userInRoot } = await import("../io/host.ts");
  return userInRoot(mounts, user);
}

/** 64 hexadecimal digits. */
function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(32))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
