import { spawn } from "node:child_process";
import { createReadStream, createWriteStream, readdirSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Client } from "@hull/client/client";
import { type Container, specOf } from "@hull/client/containers";
import { readBlob, writeContent } from "@hull/client/content";
import { fromWireDescriptor, getImage, platformImage } from "@hull/client/images";
import { openRootFiles } from "@hull/client/io/host";
import { readShared } from "@hull/client/io/pump";
import { withLease } from "@hull/client/lease";
import { Trees } from "@hull/client/snapshot-trees";
import { unpackImage } from "@hull/client/unpack";
import { ChangeWalk } from "@hull/engine/diff/packer/changes";
import { uncompressed } from "@hull/engine/transfer/archive";
import { failedPrecondition, internal, invalidArgument } from "@hull/errors";
import { Digester } from "@hull/oci/digest";
import { maxConfigSize } from "@hull/oci/manifest";
import { mediaTypes } from "@hull/oci/media-types";
import { hostPlatform, parsePlatform } from "@hull/oci/platform";
import { findContainer, fullName, nameOf, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { commandOf } from "../init.ts";
import { applyChange, type Defaults, writeImage } from "../make-image.ts";
import { openSession } from "../session.ts";
import { stateOf } from "../state.ts";

/** @throws FailedPrecondition for a container without one */
function snapshotOf(container: Container): { snapshotter: string; key: string } {
  const { snapshotter, snapshotKey: key } = container;
  if (key === "") throw failedPrecondition(`container "${nameOf(container)}" has no snapshot of an image`);
  return { snapshotter, key };
}

/** `hull export`: the container's file system as an archive, without what is mounted in it. */
export async function exportContainer(call: Call<{ output: string | undefined }>): Promise<number> {
  const { args, flags } = call;
  needArguments(args, 1, 1, "a container is");
  if (flags.output === undefined && process.stdout.isTTY)
    throw invalidArgument("cowardly refusing to save to a terminal. Use the -o flag or redirect");
  await using client = await openSession(call);
  const container = await findContainer(client, args[0] ?? "");
  const { mounts } = await client.service(SnapshotsDefinition).mounts(snapshotOf(container));
  using root = openRootFiles(mounts);
  const path = `/proc/${process.pid}/fd/${root.fd}`;
  const names = readdirSync(path).sort();
  const packing = ["tar", "-C", path, "--numeric-owner", "-cf", "-", "--", ...names];
  const [program = "", ...rest] = names.length === 0 ? ["tar", "-cf", "-", "-T", "/dev/null"] : packing;
  if (flags.output === undefined) {
    const child = spawn(program, rest, { stdio: ["ignore", "inherit", "inherit"] });
    await ended(child);
    return 0;
  }
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"] });
  // Whole or not at all.
  const making = `${flags.output}.${process.pid}.part`;
  try {
    await Promise.all([pipeline(child.stdout, createWriteStream(making, { mode: 0o600 })), ended(child)]);
    await rename(making, flags.output);
  } finally {
    await rm(making, { force: true });
  }
  return 0;
}

function ended(child: ReturnType<typeof spawn>): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => reject(failedPrecondition(`tar(1) can't be run: ${cause.message}`, { cause })));
    child.once("close", (code) => (code === 0 ? resolve() : reject(internal("tar failed: see what it said"))));
  });
}

const letters = { add: "A", modify: "C", delete: "D" } as const;

/** `hull diff`: what a container has changed of its image. */
export async function diffContainer(call: Call): Promise<number> {
  const { args, host } = call;
  needArguments(args, 1, 1, "a container is");
  await using client = await openSession(call);
  const container = await findContainer(client, args[0] ?? "");
  const { snapshotter, key } = snapshotOf(container);
  // The runtime makes what is missing where it mounts: that is no change of the user's.
  const places = new Set(specOf(container)?.mounts?.map(({ destination }) => destination));
  const lines = await withLease(client, async (leased) => {
    await using trees = new Trees(leased, snapshotter);
    using left = openRootFiles(await trees.parentOf(key));
    using right = openRootFiles(await trees.mountsOf(key));
    const path = ({ fd }: { fd: number }): string => `/proc/${process.pid}/fd/${fd}`;
    const found = new Map<string, string>();
    for (const change of new ChangeWalk({ left: path(left), right: path(right) }).changes()) {
      if (change.kind === "linked") continue;
      const name = `/${Buffer.from(change.path, "latin1").toString("utf8").replace(/^\/+/, "")}`;
      if (change.kind === "add" && places.has(name)) continue;
      found.set(name, letters[change.kind]);
      // As docker: what leads to a change has changed.
      for (let at = name.lastIndexOf("/"); at > 0; at = name.lastIndexOf("/", at - 1))
        if (!found.has(name.slice(0, at))) found.set(name.slice(0, at), "C");
    }
    return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, letter]) => `${letter} ${name}\n`);
  });
  await host.out(lines.join(""));
  return 0;
}

export interface CommitFlags {
  readonly author: string | undefined;
  readonly change: readonly string[];
  readonly message: string | undefined;
  readonly pause: boolean;
}

/** `hull commit`: an image of a container's file system, that runs what the container runs. */
export async function commit(call: Call<CommitFlags>): Promise<number> {
  const { args, flags, given, host } = call;
  needArguments(args, 1, 2, "a container is");
  const name = args[1] === undefined ? undefined : fullName(args[1]);
  await using client = await openSession(call);
  const container = await findContainer(client, args[0] ?? "");
  const { snapshotter, key } = snapshotOf(container);
  const digest = await withLease(client, async (leased) => {
    const parent = await platformImage(leased, (await getImage(leased, container.image)).target);
    const { manifest } = parent;
    const docker = manifest.config.mediaType === mediaTypes.dockerConfig;
    const layer = await takeLayer(leased, container, {
      snapshotter,
      key,
      pause: !given.has("pause") || flags.pause,
    });
    const config = JSON.parse(new TextDecoder().decode(await readBlob(leased, manifest.config.digest, maxConfigSize)));
    const created = new Date().toISOString();
    const step = { created, created_by: commandOf(specOf(container)).join(" "), comment: flags.message };
    const target = await writeImage(leased, {
      docker,
      name,
      layers: [
        ...manifest.layers,
        { ...layer.descriptor, mediaType: docker ? mediaTypes.dockerLayerGzip : mediaTypes.ociLayerGzip },
      ],
      config: {
        ...config,
        created,
        author: flags.author ?? config.author,
        config: flags.change.reduce(applyChange, defaultsOf(container, config.config ?? {})),
        rootfs: { type: "layers", diff_ids: [...parent.config.diffIds, layer.diffId] },
        history: [...(config.history ?? []), step],
      },
    });
    await unpackNew(leased, target, docker, snapshotter);
    return target;
  });
  await host.out(`${digest}\n`);
  return 0;
}

async function unpackNew(client: Client, digest: string, docker: boolean, snapshotter: string): Promise<void> {
  const mediaType = docker ? mediaTypes.dockerManifest : mediaTypes.ociManifest;
  await unpackImage(client, await platformImage(client, { mediaType, digest, size: 0 }), { snapshotter });
}

/** How the container runs, as the defaults of an image that begins with its image's. */
function defaultsOf(container: Container, image: Defaults): Defaults {
  const process = specOf(container)?.process;
  if (process === undefined) return image;
  const { Entrypoint: entrypoint } = image;
  const { args = [] } = process;
  const own = entrypoint?.every((word, at) => args[at] === word) === true;
  const { uid, gid } = process.user;
  const given = (process.env ?? []).filter((each) => !/^(HOSTNAME|TERM)=/.test(each));
  return {
    ...image,
    Env: given,
    Entrypoint: own ? entrypoint : null,
    Cmd: own ? args.slice(entrypoint.length) : args,
    WorkingDir: process.cwd === "/" ? (image.WorkingDir ?? "") : process.cwd,
    User: (image.User ?? "") === "" && (uid !== 0 || gid !== 0) ? `${uid}:${gid}` : (image.User ?? ""),
  };
}

async function takeLayer(
  client: Client,
  container: Container,
  { snapshotter, key, pause }: { snapshotter: string; key: string; pause: boolean },
) {
  await using undo = new AsyncDisposableStack();
  if (pause && (await stateOf(client, container.id)).status === "running") {
    const tasks = client.service(TasksDefinition);
    await tasks.pause({ containerId: container.id });
    undo.defer(async () => void (await tasks.resume({ containerId: container.id })));
  }
  const trees = undo.use(new Trees(client, snapshotter));
  const request = {
    left: await trees.parentOf(key),
    right: await trees.mountsOf(key),
    mediaType: mediaTypes.ociLayerGzip,
  };
  const { diff } = await client.service(DiffDefinition).diff({ ...request, ref: `commit-${crypto.randomUUID()}` });
  if (diff === undefined) throw internal("the layer did not come");
  const { info } = await client.service(ContentDefinition).info({ digest: diff.digest });
  const diffId = info?.labels["containerd.io/uncompressed"];
  if (diffId === undefined) throw internal(`layer "${diff.digest}" says nothing of what it is uncompressed`);
  return { descriptor: { ...fromWireDescriptor(diff), annotations: undefined }, diffId };
}

/** `hull import`: an image of one layer, an archive of files. */
export async function importFiles(
  call: Call<{ change: readonly string[]; message: string | undefined; platform: string | undefined }>,
): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, 2, "an archive is");
  const [source = "", reference] = args;
  if (/^https?:\/\//.test(source))
    throw invalidArgument(`"${source}": fetch it first, and import - (e.g. by curl URL | hull import -)`);
  const name = reference === undefined ? undefined : fullName(reference);
  const { os, architecture, variant } = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
  const settings = flags.change.reduce(applyChange, {});
  await using client = await openSession(call);
  const digest = await withLease(client, async (leased) => {
    const bytes =
      source === "-" ? readShared(0, { keepAlive: true }) : createReadStream(source, { highWaterMark: 1 << 20 });
    const digester = new Digester();
    const layer = await writeContent(leased, `import-${crypto.randomUUID()}`, compressed(bytes, digester));
    const diffId = digester.digest();
    const created = new Date().toISOString();
    const target = await writeImage(leased, {
      docker: false,
      name,
      layers: [{ mediaType: mediaTypes.ociLayerGzip, ...layer }],
      config: {
        created,
        architecture,
        ...(variant === undefined ? {} : { variant }),
        os,
        config: settings,
        rootfs: { type: "layers", diff_ids: [diffId] },
        history: [{ created, comment: flags.message ?? "Imported from -" }],
      },
    });
    const own = { mediaType: mediaTypes.ociManifest, digest: target, size: 0 };
    const image = await platformImage(leased, own, { os, architecture, ...(variant === undefined ? {} : { variant }) });
    await unpackImage(leased, image, { snapshotter: globals.snapshotter });
    return target;
  });
  await host.out(`${digest}\n`);
  return 0;
}

/** An archive, plain or compressed as it may be, as gzip; the digest is of what it is uncompressed. */
async function* compressed(source: AsyncIterable<Uint8Array>, digester: Digester): AsyncGenerator<Uint8Array> {
  async function* plain(): AsyncGenerator<Uint8Array> {
    for await (const bytes of uncompressed(source)) {
      digester.update(bytes);
      yield bytes;
    }
  }
  const gzip = createGzip();
  const writing = pipeline(Readable.from(plain(), { objectMode: false }), gzip);
  // It ends the reading below with the same error.
  writing.catch(() => {});
  for await (const bytes of gzip) yield bytes;
  await writing;
}
