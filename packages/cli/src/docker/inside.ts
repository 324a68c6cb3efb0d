import { spawn } from "node:child_process";
import { mkdtempSync, rmdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { MountsDefinition } from "@hull/api/gen/containerd/services/mounts/v1/mounts";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { failedPrecondition, internal, notFound } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Descriptor, open, openFlags } from "@hull/sys/fd";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { openInside } from "@hull/sys/resolve";
import { nameOf } from "./find.ts";
import { stateOf } from "./state.ts";

/** Files of containers, from outside. */

/** The root file system of a container: of one that runs as its processes see it, held still for the time. */
export async function openRoot(
  client: Client,
  container: Container,
): Promise<AsyncDisposable & { readonly fd: number }> {
  await using undo = new AsyncDisposableStack();
  const { status, pid } = await stateOf(client, container.id);
  let path: string;
  if (status === "running" || status === "paused") {
    if (status === "running") {
      // What is looked up must not be another thing when it is used.
      const tasks = client.service(TasksDefinition);
      await tasks.pause({ containerId: container.id });
      undo.defer(async () => {
        await tasks.resume({ containerId: container.id });
      });
    }
    path = `/proc/${pid}/root`;
  } else {
    const { snapshotter, snapshotKey: key } = container;
    if (key === "") throw failedPrecondition(`container "${nameOf(container)}" has no snapshot, and does not run`);
    const { mounts } = await client.service(SnapshotsDefinition).mounts({ snapshotter, key });
    path = mkdtempSync(join(tmpdir(), "hull-cp-"));
    const mounted = path;
    undo.defer(() => rmdirSync(mounted));
    mountAll(await plainMounts(client, mounts, undo), path);
    undo.defer(() => unmountAll(mounted));
  }
  const descriptor = undo.use(new Descriptor(open(`${path}/`, openFlags.path | openFlags.directory)));
  const kept = undo.move();
  return { fd: descriptor.fd, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Mounts of which the daemon does those that build on others, such as a file system of a limited size, until `undo`. */
async function plainMounts(
  client: Client,
  mounts: readonly Mount[],
  undo: AsyncDisposableStack,
): Promise<readonly Mount[]> {
  if (!mounts.some(({ type }) => /^(mkfs|mkdir|format)\//.test(type))) return mounts;
  const service = client.service(MountsDefinition);
  const name = `cp-${crypto.randomUUID()}`;
  const { info } = await service.activate({ name, mounts: [...mounts] });
  undo.defer(async () => {
    await service.deactivate({ name });
  });
  return info?.system ?? [];
}

/** What has been opened, and the path by which this process and its children reach it. */
export interface Opened extends Disposable {
  readonly path: string;
  readonly directory: boolean;
}

/** Paths in a container: links in them never lead out of it. */
export class Inside {
  readonly #root: number;
  readonly #name: string;

  constructor(root: number, name: string) {
    this.#root = root;
    this.#name = name;
  }

  /** @throws NotFound */
  open(path: string): Opened {
    const found = this.find(path);
    if (found === undefined) throw notFound(`there is no "${path}" in container "${this.#name}"`);
    return found;
  }

  find(path: string): Opened | undefined {
    try {
      const fd = openInside(this.#root, path === "" ? "/" : path, openFlags.path);
      const descriptor = new Descriptor(fd);
      const own = `/proc/${process.pid}/fd/${fd}`;
      return {
        path: own,
        directory: statSync(own).isDirectory(),
        [Symbol.dispose]: () => descriptor[Symbol.dispose](),
      };
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
  }
}

/** All below a directory, by two tar(1) and a pipe: owners, modes, links, devices and times stay. */
export async function copyTree(from: string, to: string): Promise<void> {
  const reader = spawn("tar", ["-C", from, "-cf", "-", "."], { stdio: ["ignore", "pipe", "inherit"] });
  const writer = spawn("tar", ["-C", to, "-xf", "-"], { stdio: ["pipe", "ignore", "inherit"] });
  // A writer that has ended early is told by its status.
  const piped = pipeline(reader.stdout, writer.stdin).catch(() => {});
  const [read, written] = await Promise.all([ended(reader), ended(writer), piped]);
  if (read !== 0 || written !== 0) throw internal(`copying from "${from}" to "${to}" failed: see what tar said`);
}

export async function run(argv: readonly string[], stdio: { input?: "inherit"; output?: "inherit" }): Promise<void> {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { stdio: [stdio.input ?? "ignore", stdio.output ?? "ignore", "inherit"] });
  if ((await ended(child)) !== 0) throw internal(`${argv.join(" ")} failed: see what it said`);
}

function ended(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => reject(failedPrecondition(`tar(1) can't be run: ${cause.message}`, { cause })));
    child.once("close", (code) => resolve(code ?? 1));
  });
}
