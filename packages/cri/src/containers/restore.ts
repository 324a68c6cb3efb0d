/**
 * Containers made from checkpoints: of an archive that `CheckpointContainer` wrote, or of an image that holds the same files.
 *
 *   open ──► files in `<root>/ctrd-restore` ──fill──► changed files, log ──started──► (files gone)
 *
 * What the container is made with is said by the request alone: a checkpoint only brings the processes, the files that they have changed, the
 * log, and which image they were changed in. The processes have the users, capabilities and seccomp filters that they had.
 */

import { createReadStream, existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerConfig } from "@hull/api/gen/cri/v1/cri";
import { contextFor } from "@hull/engine/context";
import type { Mount } from "@hull/engine/mount/index";
import { isCode, unknown } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { isErrno } from "@hull/sys/errno";
import { criNamespace, type LocalImage } from "../model.ts";
import { withinLater } from "../wrap.ts";
import { type ContainersContext, passingLease } from "./context.ts";
import { requireCriu } from "./criu.ts";

const tarType = "application/vnd.oci.image.layer.v1.tar";
/** Bytes of a document in a checkpoint. */
const maxDocument = 8 * 1024 * 1024;

/** Where a checkpoint lies from the creation of its container to its start. */
const filesOf = (of: ContainersContext, id: string): string => join(of.root(id), "ctrd-restore");

/** What `runtime restore` is to read; empty for a container that begins anew. */
export function processesOf(of: ContainersContext, id: string): string {
  const directory = join(filesOf(of, id), "checkpoint");
  return existsSync(directory) ? directory : "";
}

/** The container runs: its checkpoint is needed no longer. */
export async function forgetCheckpoint(of: ContainersContext, id: string): Promise<void> {
  await rm(filesOf(of, id), { recursive: true, force: true });
}

/** Where the image of a request leads. */
type Source = { readonly archive: string } | { readonly layers: readonly Descriptor[] };

/** The checkpoint that the image of a request names; undefined for another image. @throws NotFound */
export async function checkpointIn(of: ContainersContext, reference: string): Promise<Source | undefined> {
  // No image's name begins so.
  if (reference.startsWith("/") && existsSync(reference)) return { archive: reference };
  const { checkpoint } = await of.options.images.get(reference);
  return checkpoint === undefined ? undefined : { layers: checkpoint };
}

/** A checkpoint whose files are there. */
export class Restoration {
  /** The image whose files the container had. */
  readonly base: LocalImage;
  /** The request's, with that image, and saying in annotations where it came from, as containerd does. */
  readonly config: ContainerConfig;
  readonly #of: ContainersContext;
  readonly #id: string;

  private constructor(of: ContainersContext, id: string, base: LocalImage, config: ContainerConfig) {
    this.#of = of;
    this.#id = id;
    this.base = base;
    this.config = config;
  }

  /** Unpacks a checkpoint for a container. What was made is undone when a later step fails. @throws Unknown, mostly in containerd's words */
  static async open(of: ContainersContext, id: string, source: Source, config: ContainerConfig): Promise<Restoration> {
    const { runtime } = of.options.config;
    if (!runtime.enable_experimental_restore_via_create)
      throw unknown("checkpoint restore via CreateContainer is disabled by configuration");
    await requireCriu(runtime, "checkpoint restore is not enabled");
    const directory = filesOf(of, id);
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await unpack(of, source, directory);
      await refuseLinks(directory);
      const dumped = await readConfig(join(directory, "config.dump"));
      const base = await baseImage(of, dumped);
      const annotations = {
        ...config.annotations,
        restored: "true",
        checkpointedAt: dumped.checkpointedTime,
        checkpointImage: config.image?.userSpecifiedImage ?? "",
      };
      const image = config.image && { ...config.image, image: base.id, userSpecifiedImage: dumped.rootfsImageName };
      return new Restoration(of, id, base, { ...config, ...(await commandOf(config, directory)), annotations, image });
    } catch (error) {
      await rm(of.root(id), { recursive: true, force: true });
      throw error;
    }
  }

  /** Brings the files that the container had changed into its root file system, and what it had logged where it is to go on. */
  async fill(rootfs: readonly Mount[], logPath: string): Promise<void> {
    const directory = filesOf(this.#of, this.#id);
    const changed = join(directory, "rootfs-diff.tar");
    if (existsSync(changed)) await applyArchive(this.#of, changed, rootfs);
    if (logPath === "") return;
    try {
      await copyFile(join(directory, "container.log"), logPath);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}

async function unpack(of: ContainersContext, source: Source, directory: string): Promise<void> {
  const target = [{ type: "bind", source: directory, target: "", options: ["rbind", "rw"] }];
  if ("layers" in source) {
    for (const layer of source.layers) await of.options.checkpoints.differ.apply(of.engine, layer, target);
    return;
  }
  const { archive } = source;
  if (!(await stat(archive)).isFile()) throw unknown(`checkpoint archive "${archive}" is not a regular file`);
  await withinLater(`unpacking of checkpoint archive ${archive} failed`, applyArchive(of, archive, target));
}

/** Unpacks a file by way of the content store, from which the unpacker reads, shut into the target. */
async function applyArchive(of: ContainersContext, archive: string, target: readonly Mount[]): Promise<void> {
  const { leases, checkpoints } = of.options;
  const lease = await leases.create(of.engine, "", passingLease);
  try {
    const ctx = contextFor(criNamespace, { lease: lease.id });
    await using writer = await checkpoints.content.writer(ctx, `checkpoint-${lease.id}`);
    for await (const chunk of createReadStream(archive, { highWaterMark: 1 << 20 })) await writer.write(chunk);
    const [digest, size] = [writer.digest(), writer.offset];
    await writer.commit({ expected: digest }).catch((error: unknown) => {
      if (!isCode(error, "alreadyExists")) throw error;
    });
    await checkpoints.differ.apply(ctx, { mediaType: tarType, digest, size }, target);
  } finally {
    await leases.delete(of.engine, lease.id);
  }
}

/** What reads the files goes by their names. @throws Unknown for anything but files and directories */
async function refuseLinks(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }))
    if (!entry.isFile() && !entry.isDirectory())
      throw unknown(
        `refusing to restore checkpoint: ${join(entry.parentPath, entry.name)} is not a regular file or directory`,
      );
}

/** What of `config.dump` counts. */
interface DumpedConfig {
  readonly rootfsImageName: string;
  readonly rootfsImageRef: string;
  readonly checkpointedTime: string;
}

async function readDocument(path: string): Promise<Readonly<Record<string, unknown>>> {
  return await withinLater(`failed to read ${JSON.stringify(path.slice(path.lastIndexOf("/") + 1))}`, read());
  async function read() {
    if ((await stat(path)).size > maxDocument) throw unknown(`it is larger than ${maxDocument} bytes`);
    const document: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof document !== "object" || document === null) throw unknown("it is no JSON object");
    return document as Readonly<Record<string, unknown>>;
  }
}

async function readConfig(path: string): Promise<DumpedConfig> {
  const document = await readDocument(path);
  const text = (name: string): string => (typeof document[name] === "string" ? document[name] : "");
  return {
    rootfsImageName: text("rootfsImageName") || text("rootfsImage"),
    rootfsImageRef: text("rootfsImageRef"),
    checkpointedTime: text("checkpointedTime"),
  };
}

/** The image that the container was made from, which is fetched if it isn't here. @throws Unknown if its name is another image's by now */
async function baseImage(
  { options: { images } }: ContainersContext,
  { rootfsImageName: name, rootfsImageRef: ref }: DumpedConfig,
): Promise<LocalImage> {
  const is = ({ id, digests }: LocalImage): boolean => id === ref || digests.includes(ref);
  const here = await images.get(ref).catch(() => undefined);
  if (here !== undefined && is(here)) return here;
  const wanted = ref.includes("@") ? ref : name;
  const fetched = await withinLater(`failed to pull checkpoint base image ${wanted}`, images.ensure(wanted));
  if (is(fetched)) return fetched;
  throw unknown(
    `checkpoint base image ${name} is ${fetched.id} here, not ${ref}: the container's files were another's`,
  );
}

/** A command for a request that has none: it isn't run, but has to be there, and shows what runs. */
async function commandOf(
  { command, args }: ContainerConfig,
  directory: string,
): Promise<Pick<ContainerConfig, "command"> | undefined> {
  if (command.length > 0 || args.length > 0) return undefined;
  const { process } = await readDocument(join(directory, "spec.dump"));
  const dumped = (process as { args?: unknown } | undefined)?.args;
  const isText = (arg: unknown): arg is string => typeof arg === "string";
  return Array.isArray(dumped) && dumped.every(isText) ? { command: dumped } : undefined;
}
