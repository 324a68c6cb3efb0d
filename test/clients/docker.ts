import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Outcome, runProgram, type Server, startServer } from "../support/process.ts";

/** Where Docker's engine is installed; Debian's newer ones run from a folder that they were unpacked in. */
const prefix = process.env.HULL_DOCKER_PREFIX ?? "";
const [engine, client] = [`${prefix}/usr/sbin/dockerd`, `${prefix}/usr/bin/docker`];

/** Docker's client for BuildKit, where it is installed beside. */
const buildx = `${prefix}/usr/libexec/docker/cli-plugins/docker-buildx`;

/** Why images can't be kept by what is below Docker's engine; undefined if they can, which the newer ones are asked for by this. */
export const noOwnImages =
  process.env.HULL_DOCKER_IMAGES === "containerd" && existsSync(buildx)
    ? undefined
    : "needs Docker 25 or newer with buildx, and HULL_DOCKER_IMAGES=containerd";

/** Why Docker's engine can't be had here; undefined if it can. */
export const noDocker =
  process.getuid?.() !== 0
    ? "needs root"
    : existsSync(engine) && existsSync(client)
      ? undefined
      : "needs Debian's docker.io package";

/** Debian's dockerd on folders of its own and with no network, above a daemon that serves containerd's API. */
export class DockerEngine implements AsyncDisposable {
  /** Begins a command line of Docker's client for this engine. */
  readonly client: readonly string[];
  readonly #command: readonly string[];
  readonly #env: Record<string, string | undefined>;
  #server: Server | undefined;

  /**
   * @param cgroup the parent of the containers' control groups, for instance `/mine`
   * @param images whose store has the images: the engine's own, or containerd's (from Docker 25 on)
   */
  constructor(folder: string, containerd: string, cgroup: string, images: "own" | "containerd" = "own") {
    const config = join(folder, "config");
    mkdirSync(join(config, "cli-plugins"), { recursive: true });
    if (existsSync(buildx)) symlinkSync(buildx, join(config, "cli-plugins", "docker-buildx"));
    const settings = join(folder, "daemon.json");
    writeFileSync(settings, JSON.stringify({ features: { "containerd-snapshotter": images === "containerd" } }));
    const driver = images === "containerd" ? "overlayfs" : "overlay2";
    const socket = `unix://${join(folder, "docker.sock")}`;
    this.client = [client, "--config", config, "--host", socket];
    this.#env = { DOCKER_BUILDKIT: "0" };
    this.#command = [
      engine,
      ...["--config-file", settings, "--containerd", containerd, "--host", socket, "--live-restore"],
      ...["--data-root", join(folder, "root"), "--exec-root", join(folder, "exec"), "--pidfile", join(folder, "pid")],
      ...["--iptables=false", "--ip6tables=false", "--bridge=none", `--storage-driver=${driver}`],
      ...["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", cgroup],
    ];
  }

  async start(): Promise<void> {
    this.#server = await startServer(this.#command, /API listen on/, { env: this.#env });
  }

  /** Containers go on without it. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#server?.stop(signal);
  }

  log(): string {
    return this.#server?.log() ?? "";
  }

  /** Runs Docker's client. */
  run(...args: string[]): Promise<Outcome> {
    return runProgram([...this.client, ...args], { env: this.#env });
  }

  /** Builds by BuildKit instead of by containers. */
  buildKit(...args: string[]): Promise<Outcome> {
    return runProgram([...this.client, "build", "--progress", "plain", ...args], { env: { DOCKER_BUILDKIT: "1" } });
  }

  /** The same for one that has to succeed. Gives its standard output, trimmed. @throws Error with what it said */
  async must(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...args);
    if (status !== 0) throw new Error(`docker ${args.join(" ")} ended with ${status}: ${stderr}${stdout}`);
    return stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
