/** Help for the tests of the runtime: a root file system, containers, events, and streams, on a directory that goes with its scope. */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { notFound } from "@hull/errors";
import { buildSpec, defaultSpec, type Spec, type SpecMiddleware } from "@hull/oci/spec";
import { cgroupAt } from "@hull/sys/cgroup";
import { close, open, openFlags } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import { mountInfo, unmountAll } from "@hull/sys/mount";
import { readStream, writeAll } from "@hull/sys/stream";
import { TtrpcServer } from "@hull/ttrpc/server";
import type { Container } from "../containers/index.ts";
import { type Context, contextFor } from "../context.ts";
import type { EventEnvelope } from "../events/index.ts";
import { shimEventsDefinition, shimEventsService } from "./events-service.ts";
import type { CreateTask, TaskManager } from "./index.ts";
import { ShimTaskManager, type TaskManagerOptions } from "./task-manager.ts";

const busybox = "/bin/busybox";

/** Why the tests can't run here, undefined if they can. */
export const missing =
  process.getuid?.() !== 0
    ? "needs root"
    : !existsSync(busybox)
      ? "needs busybox-static"
      : Bun.which("runc") === null
        ? "needs runc"
        : undefined;

/** The variable that names the OCI runtime which the tests use; runc without it. See crun.test.ts. */
export const runtimeVariable = "HULL_TEST_OCI_RUNTIME";

const applets = "sh true false sleep echo cat ls stty id dd head wc ps env kill seq tr printf touch sync".split(" ");

/** Where everything of one test lives. */
export class RuntimeFixture implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hull-runtime-"));
  readonly namespace = `t${process.pid}-${crypto.randomUUID().slice(0, 6)}`;
  readonly ctx: Context = contextFor(this.namespace);
  readonly events: EventEnvelope[] = [];
  readonly #containers = new Map<string, Container>();
  readonly #managers: ShimTaskManager[] = [];
  readonly #rootfs = join(this.directory, "base");
  #server: TtrpcServer | undefined;

  static async open(): Promise<RuntimeFixture> {
    const fixture = new RuntimeFixture();
    const bin = join(fixture.#rootfs, "bin");
    mkdirSync(bin, { recursive: true });
    for (const directory of ["proc", "sys", "dev", "tmp", "run", "etc"]) mkdirSync(join(fixture.#rootfs, directory));
    copyFileSync(busybox, join(bin, "busybox"));
    for (const applet of applets) symlinkSync("busybox", join(bin, applet));
    await fixture.startEvents();
    return fixture;
  }

  /** Serves events on the daemon's ttrpc socket. */
  async startEvents(): Promise<void> {
    const forward = (event: EventEnvelope) => void this.events.push(event);
    this.#server = new TtrpcServer().register(shimEventsDefinition, shimEventsService({ forward }));
    rmSync(this.#ttrpc, { force: true });
    await this.#server.listen({ path: this.#ttrpc });
  }

  async stopEvents(): Promise<void> {
    await this.#server?.close();
  }

  get #ttrpc(): string {
    return join(this.directory, "hull.sock.ttrpc");
  }

  /** What a task manager is made with. */
  get options(): TaskManagerOptions {
    const get = async (_: Context, id: string): Promise<Container> => {
      const container = this.#containers.get(id);
      if (container === undefined) throw notFound(`container "${id}" in namespace "${this.namespace}"`);
      return container;
    };
    return {
      directories: { root: join(this.directory, "root"), state: join(this.directory, "state") },
      containers: { get },
      events: {
        publish: ({ namespace }, topic, event) => void this.events.push({ namespace, topic, event, timestamp: 0n }),
      },
      daemon: { grpc: join(this.directory, "hull.sock"), ttrpc: this.#ttrpc, binary: process.execPath },
      shimCommand: [process.execPath, fileURLToPath(new URL("../../../shim/src/entry.ts", import.meta.url))],
      ociRuntime: process.env[runtimeVariable] ?? "runc",
    };
  }

  /** An OCI runtime that kills a container which it is to delete, and forgets it without having removed its control groups. @returns its path */
  forgetful(): string {
    const path = join(this.directory, "forgetful");
    const real = Bun.which(process.env[runtimeVariable] ?? "runc");
    const script = `#!/bin/sh
root=$2
case " $* " in *" delete "*)
  for id; do :; done
  [ -e "$root/$id" ] || exec ${real} "$@"
  ${real} --root "$root" kill "$id" KILL 2>/dev/null
  rm -r "$root/$id"
  echo "unable to remove the control groups" >&2
  exit 1 ;;
esac
exec ${real} "$@"
`;
    writeFileSync(path, script, { mode: 0o755 });
    return path;
  }

  /** The directories of a container's control group that are there. */
  groupsOf(id: string): string[] {
    const { controllers, unified = "" } = cgroupAt(`/${this.namespace}/${id}`);
    return [...new Set([...Object.values(controllers), unified])].filter((directory) => existsSync(directory));
  }

  /** A task manager that is closed with the fixture. */
  manager(options: Partial<TaskManagerOptions> = {}): ShimTaskManager {
    const manager = new ShimTaskManager({ ...this.options, spareShims: 0, ...options });
    this.#managers.push(manager);
    return manager;
  }

  /** Records a container; @returns what creates its task, without streams. */
  container(
    id: string,
    args: string[],
    options: { runtime?: string; spec?: SpecMiddleware; sandbox?: string } = {},
  ): CreateTask {
    const { runtime = "io.containerd.runc.v2", spec = (given: Spec) => given, sandbox = "" } = options;
    const base = defaultSpec({ namespace: this.namespace, id });
    const process = { ...base.process, cwd: "/", args, env: ["PATH=/bin"] };
    const value = new TextEncoder().encode(JSON.stringify(buildSpec({ ...base, process } as Spec, spec)));
    this.#containers.set(id, {
      id,
      labels: {},
      image: "",
      runtime: { name: runtime },
      spec: { typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Spec", value },
      snapshotter: "",
      snapshotKey: "",
      sandbox,
      extensions: {},
      createdAt: 0n,
      updatedAt: 0n,
    });
    const rootfs = [{ type: "bind", source: this.#rootfs, target: "", options: ["rbind", "rw"] }];
    return { id, rootfs, terminal: false, stdin: "", stdout: "", stderr: "" };
  }

  /** A new FIFO. */
  fifo(name: string): string {
    const path = join(this.directory, `${name}-${crypto.randomUUID().slice(0, 8)}`);
    makeFifo(path, 0o700);
    return path;
  }

  /** Topics of the events so far that are about one container, in order of arrival. */
  topics(): string[] {
    return this.events.map(({ topic }) => topic);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const manager of this.#managers) await endAll(manager, this.ctx).finally(() => manager.close());
    await this.#server?.close();
    unmountAll(join(this.directory, "state"));
    rmSync(this.directory, { recursive: true, force: true });
    removeCgroups(this.namespace);
    // Where containerd's own shim has runc's states.
    rmSync(join("/run/containerd/runc", this.namespace), { recursive: true, force: true });
  }
}

/** The runtime removes a container's cgroups, not the namespace's above them. */
function removeCgroups(namespace: string): void {
  for (const { type, target } of mountInfo()) {
    const path = join(target, namespace);
    if (type.startsWith("cgroup") && existsSync(path)) removeDirectories(path);
  }
}

function removeDirectories(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeDirectories(join(path, entry.name));
  }
  rmdirSync(path);
}

async function endAll(manager: TaskManager, ctx: Context): Promise<void> {
  for (const { id, status } of await manager.list(ctx)) {
    if (status !== "stopped") {
      const ended = manager.wait(ctx, id).catch(() => {});
      await manager.kill(ctx, id, { signal: 9 }).catch(() => {});
      await ended;
    }
    await manager.delete(ctx, id).catch(() => {});
  }
}

/** A FIFO's reader, opened at once without waiting for a writer. */
export class FifoReader implements Disposable {
  readonly #fd: number;
  readonly #decoder = new TextDecoder();
  text = "";

  constructor(path: string) {
    this.#fd = open(path, openFlags.readOnly | openFlags.nonBlocking);
  }

  /** Reads until `done` says so of all text so far, or to the end. */
  async until(done: (text: string) => boolean = () => false): Promise<string> {
    if (done(this.text)) return this.text;
    for await (const chunk of readStream(this.#fd)) {
      this.text += this.#decoder.decode(chunk, { stream: true });
      if (done(this.text)) break;
    }
    return this.text;
  }

  /** Counts and hashes everything to the end. */
  async digest(): Promise<{ bytes: number; hash: string }> {
    const hasher = new Bun.CryptoHasher("sha256");
    let bytes = 0;
    for await (const chunk of readStream(this.#fd)) {
      hasher.update(chunk);
      bytes += chunk.length;
    }
    return { bytes, hash: hasher.digest("hex") };
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

/** A FIFO's writer; the reader must be there. */
export class FifoWriter implements Disposable {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = open(path, openFlags.writeOnly | openFlags.nonBlocking);
  }

  write(text: string): Promise<void> {
    return writeAll(this.#fd, new TextEncoder().encode(text));
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
