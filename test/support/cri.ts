/** The CRI of hull and of the real containerd, each on a machine of its own with a bridge network of Debian's CNI plugins. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ContainerConfig,
  ImageServiceDefinition,
  NamespaceMode,
  type PodSandboxConfig,
  RuntimeServiceDefinition,
} from "@hull/api/gen/cri/v1/cri";
import type { PartialOf, ServiceClient } from "@hull/api/rpc";
import { type Client, connect } from "@hull/client/client";
import { HullError } from "@hull/errors";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { isErrno } from "@hull/sys/errno";
import { busyboxLayer, packLayout, writeLayout } from "../../scripts/image.ts";
import { containerdCommand, noContainerd } from "./containerd.ts";
import { hullCommand } from "./hull.ts";
import { Machine } from "./machine.ts";
import { type Outcome, runProgram, type Server } from "./process.ts";

const plugins = ["/usr/lib/cni", "/opt/cni/bin"].find((directory) => existsSync(join(directory, "bridge")));

/** Why pods can't be run on both here; undefined if they can. */
export const noPods =
  noContainerd ?? (plugins === undefined ? "needs Debian's containernetworking-plugins package" : undefined);

/** The image that test containers run, and the one of pause processes. */
export const busybox = "docker.io/library/busybox:latest";
export const pause = "example.com/pause:1";

export type PodConfig = PartialOf<typeof PodSandboxConfig>;
export type NewContainer = PartialOf<typeof ContainerConfig>;

/** Writes the archive with the images of pods: busybox, and a pause that is one of its sleeping programs. */
export function writePodImages(archive: string): void {
  const folder = mkdtempSync(join(tmpdir(), "hull-image-"));
  try {
    const layers = [{ tar: busyboxLayer(), compression: "none" }] as const;
    writeLayout(folder, [
      { name: busybox, layers, config: { Env: ["PATH=/bin", "OF=image"], Cmd: ["sh"], WorkingDir: "/tmp" } },
      { name: pause, layers, config: { Env: ["PATH=/bin"], Entrypoint: ["/bin/sleep", "2147483647"] } },
    ]);
    packLayout(folder, archive);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A daemon that runs pods. */
export class CriDaemon implements AsyncDisposable {
  readonly name: "containerd" | "hull";
  readonly folder: string;
  readonly address: string;
  readonly root: string;
  readonly state: string;
  readonly machine: Machine;
  /** Parent of its pods' control groups. */
  readonly cgroup: string;
  #server: Server | undefined;
  #client: Client | undefined;

  private constructor(name: CriDaemon["name"], folder: string, machine: Machine) {
    this.name = name;
    this.folder = folder;
    this.address = join(folder, "d.sock");
    this.root = join(folder, "root");
    this.state = join(folder, "state");
    this.machine = machine;
    this.cgroup = `/hull-test-${machine.pid}`;
  }

  /** Starts one on folders below `folder`, with the images of pods. `config` are lines of TOML for hull. */
  static async start(name: CriDaemon["name"], folder: string, archive: string, config = ""): Promise<CriDaemon> {
    await using undo = new AsyncDisposableStack();
    mkdirSync(join(folder, "net.d"), { recursive: true });
    const machine = undo.use(await Machine.start());
    const daemon = undo.use(new CriDaemon(name, folder, machine));
    const ranges = [[{ subnet: "10.77.0.0/16" }]];
    const ipam = { type: "host-local", dataDir: daemon.addresses, ranges, routes: [{ dst: "0.0.0.0/0" }] };
    const bridge = { type: "bridge", bridge: "cni0", isGateway: true, ipam };
    writeFileSync(
      join(folder, "net.d", "10-pods.conflist"),
      JSON.stringify({ cniVersion: "0.4.0", name: "pods", plugins: [bridge] }),
    );
    writeFileSync(
      join(folder, "config.toml"),
      name === "hull" ? hullConfig(folder) + config : containerdConfig(daemon),
    );
    await daemon.boot();
    const { status, stderr } = await daemon.ctr("images", "import", archive);
    if (status !== 0) throw new Error(`${name}: importing the images of pods: ${stderr}`);
    undo.move();
    return daemon;
  }

  /** Directory of the addresses that pods have, a file each. */
  get addresses(): string {
    return join(this.folder, "ipam");
  }

  get server(): Server {
    if (this.#server === undefined) throw new Error(`${this.name} isn't running`);
    return this.#server;
  }

  get runtime(): ServiceClient<typeof RuntimeServiceDefinition> {
    return this.client.service(RuntimeServiceDefinition);
  }

  get images(): ServiceClient<typeof ImageServiceDefinition> {
    return this.client.service(ImageServiceDefinition);
  }

  /** A client in the namespace of Kubernetes. */
  get client(): Client {
    if (this.#client === undefined) throw new Error(`${this.name} isn't running`);
    return this.#client;
  }

  /** Starts it, again after it was stopped or killed. */
  async boot(): Promise<void> {
    const { address, root, state, folder } = this;
    const file = join(folder, "config.toml");
    const paths = ["--address", address, "--root", root, "--state", state];
    const command =
      this.name === "hull" ? [...hullCommand, "daemon", "--config", file, ...paths] : [containerdCommand, "-c", file];
    this.#server = await this.machine.serve(command, /successfully booted/);
    this.#client = await connect({ address, namespace: "k8s.io", timeoutMs: 40_000 });
    await this.#recovered();
  }

  /** Waits until it has found its pods again: until then it answers nothing of the CRI. @throws its error if it takes over 40 s */
  async #recovered(): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        await this.runtime.version({});
        return;
      } catch (error) {
        const { code, message } = HullError.from(error);
        // An older containerd gives it no class.
        const early = code === "unavailable" || message === "server is not initialized yet";
        if (!early || tries > 4000) throw error;
        await Bun.sleep(10);
      }
    }
  }

  /** Ends it; its pods go on. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
    this.#client = undefined;
    await this.#server?.stop(signal);
    this.#server = undefined;
  }

  /** The real ctr in the namespace of Kubernetes. */
  ctr(...args: string[]): Promise<Outcome> {
    return runProgram(["ctr", "--address", this.address, "--namespace", "k8s.io", ...args]);
  }

  /**
   * What every test's pod has: a name and an uid by `name`, a log directory of its own, the daemon's control group, and a security context,
   * without which an older containerd shows one all the same.
   */
  podConfig(name: string, config: PodConfig = {}): PodConfig {
    return {
      metadata: { name, uid: `uid-${name}`, namespace: "tests", attempt: 0 },
      logDirectory: join(this.folder, "logs", name),
      ...config,
      linux: { securityContext: { namespaceOptions: {} }, ...config.linux, cgroupParent: this.cgroup },
    };
  }

  /** Ends and removes all of its pods. */
  async removePods(): Promise<void> {
    const { items } = await this.runtime.listPodSandbox({});
    for (const { id } of items) {
      await this.runtime.stopPodSandbox({ podSandboxId: id });
      await this.runtime.removePodSandbox({ podSandboxId: id });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.machine[Symbol.asyncDispose]();
    // The kernel may take a moment to see that a group's last process is gone.
    for (let tries = 0; !removed(this.cgroup) && tries < 2000; tries++) await Bun.sleep(10);
  }
}

/** Removes a control group with those below, unless it has processes. */
function removed(path: string): boolean {
  try {
    removeCgroup(cgroupAt(path));
    return true;
  } catch (error) {
    if (isErrno(error, "EBUSY")) return false;
    throw error;
  }
}

/** A container of busybox that runs a script, each process of which only the container sees. */
export const scriptContainer = (name: string, script: string, config: NewContainer = {}): NewContainer => ({
  metadata: { name, attempt: 0 },
  image: { image: busybox },
  command: ["sh", "-c", script],
  logPath: `${name}.log`,
  ...config,
  linux: {
    ...config.linux,
    securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER }, ...config.linux?.securityContext },
  },
});

const hullConfig = (folder: string): string => `version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${pause}"
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["${plugins}"]
  conf_dir = "${folder}/net.d"
[plugins."io.containerd.runtime.v2.task"]
  oci_runtime = "runc"
`;

/** In the form of version 1, which version 2 reads too. Root may lack what a negative oom_score_adj needs. */
const containerdConfig = ({ address, root, state, folder }: CriDaemon): string => `version = 2
root = "${root}"
state = "${state}"
[grpc]
  address = "${address}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pause}"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${plugins}"
  conf_dir = "${folder}/net.d"
`;
