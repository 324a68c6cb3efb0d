import { spawn } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, rmdirSync, statSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { MountsDefinition } from "@hull/api/gen/containerd/services/mounts/v1/mounts";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { failedPrecondition, internal, invalidArgument, notFound } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Descriptor, open, openFlags } from "@hull/sys/fd";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { openInside } from "@hull/sys/resolve";
import { findContainer, nameOf, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { openSession } from "../session.ts";
import { stateOf } from "../state.ts";

/** One side of a copy: a path of this machine, "-" for an archive by pipe, or a path in a container. */
interface Side {
  readonly container?: string;
  readonly path: string;
}

/** `hull cp SOURCE DESTINATION`, one of which is CONTAINER:PATH. */
export async function cp(call: Call<{ quiet: boolean }>): Promise<number> {
  needArguments(call.args, 2, 2, "a source and a destination are");
  const [source, target] = call.args.map(parseSide);
  if (source === undefined || target === undefined) throw internal("the arguments are gone");
  if ((source.container === undefined) === (target.container === undefined))
    throw invalidArgument(
      "one of source and destination must be CONTAINER:PATH, the other a path of this machine or -",
    );
  await using client = await openSession(call);
  const container = await findContainer(client, source.container ?? target.container ?? "");
  await using root = await openRoot(client, container);
  const inside = new Inside(root.fd, nameOf(container));
  using ends = new DisposableStack();
  if (source.container !== undefined) await copyOut(ends.use(inside.open(source.path)), source.path, target.path);
  else await copyIn(inside, source.path, target.path, ends);
  return 0;
}

function parseSide(text: string): Side {
  // A path that begins like one is none of a container, whatever follows.
  const [, container, path] = /^([^/.:][^/:]*):(.*)$/s.exec(text) ?? [];
  return container === undefined || path === undefined ? { path: text } : { container, path: path === "" ? "/" : path };
}

/** The root file system of a container: of one that runs as its processes see it, held still for the time. */
async function openRoot(client: Client, container: Container): Promise<AsyncDisposable & { readonly fd: number }> {
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
interface Opened extends Disposable {
  readonly path: string;
  readonly directory: boolean;
}

/** Paths in a container: links in them never lead out of it. */
class Inside {
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

async function copyOut(source: Opened, name: string, target: string): Promise<void> {
  if (target === "-") {
    // As docker: the thing under its own name.
    if (!source.directory)
      throw invalidArgument(`"${name}" is no directory: only directories can be had as an archive`);
    await run(["tar", "-C", source.path, "-cf", "-", "."], { output: "inherit" });
    return;
  }
  const own = basename(resolve("/", name));
  const to = placeFor({ directory: source.directory, contents: /\/\.$/.test(name), name: own }, target, kindOf(target));
  if (source.directory) await copyTree(source.path, makeDirectory(to));
  else await copyFile(source.path, to);
}

async function copyIn(inside: Inside, source: string, target: string, ends: DisposableStack): Promise<void> {
  if (source === "-") {
    const place = ends.use(inside.open(target));
    if (!place.directory) throw invalidArgument(`"${target}" is no directory: an archive is unpacked into one`);
    await run(["tar", "-C", place.path, "-xf", "-"], { input: "inherit" });
    return;
  }
  const kind = kindOf(source);
  if (kind === undefined) throw notFound(`there is no "${source}" on this machine`);
  const directory = kind === "directory";
  const there = inside.find(target);
  if (there !== undefined) ends.use(there);
  const what = { directory, contents: /\/\.$/.test(source), name: basename(resolve(source)) };
  const to = placeFor(what, target, there === undefined ? undefined : there.directory ? "directory" : "file");
  const known = to === target ? there : undefined;
  if (known !== undefined && !known.directory) {
    await copyFile(source, known.path);
    return;
  }
  if (known !== undefined) {
    await copyTree(source, known.path);
    return;
  }
  const parent = ends.use(inside.open(dirname(resolve("/", to))));
  const path = join(parent.path, basename(resolve("/", to)));
  const old = inside.find(to);
  if (old !== undefined) ends.use(old);
  // It leads nowhere inside, and might lead somewhere here.
  if (old === undefined && lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
    throw failedPrecondition(`"${to}" in the container is a link that leads nowhere`);
  if (directory) await copyTree(source, old?.path ?? makeDirectory(path));
  else await copyFile(source, old?.path ?? path);
}

/** Where a copy goes, as cp(1) and docker have it. @throws InvalidArgument, NotFound */
function placeFor(
  { directory, contents, name }: { directory: boolean; contents: boolean; name: string },
  target: string,
  there: "file" | "directory" | undefined,
): string {
  if (there === "directory") return contents && directory ? target : join(target, name);
  if (there === "file" && directory)
    throw invalidArgument(`"${target}" is a file: a directory can't be copied over it`);
  if (there === undefined && !directory && target.endsWith("/")) throw notFound(`there is no directory "${target}"`);
  return target;
}

function kindOf(path: string): "file" | "directory" | undefined {
  try {
    return statSync(path).isDirectory() ? "directory" : "file";
  } catch {
    return undefined;
  }
}

function makeDirectory(path: string): string {
  try {
    mkdirSync(path);
  } catch (error) {
    if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
  return path;
}

/** All below a directory, by two tar(1) and a pipe: owners, modes, links, devices and times stay. */
async function copyTree(from: string, to: string): Promise<void> {
  const reader = spawn("tar", ["-C", from, "-cf", "-", "."], { stdio: ["ignore", "pipe", "inherit"] });
  const writer = spawn("tar", ["-C", to, "-xf", "-"], { stdio: ["pipe", "ignore", "inherit"] });
  // A writer that has ended early is told by its status.
  const piped = pipeline(reader.stdout, writer.stdin).catch(() => {});
  const [read, written] = await Promise.all([ended(reader), ended(writer), piped]);
  if (read !== 0 || written !== 0) throw internal(`copying from "${from}" to "${to}" failed: see what tar said`);
}

async function run(argv: readonly string[], stdio: { input?: "inherit"; output?: "inherit" }): Promise<void> {
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
