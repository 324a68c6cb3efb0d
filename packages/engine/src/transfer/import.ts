import { HullError, invalidArgument, isCode, notFound } from "@hull/errors";
import {
  annotations,
  checkLayout,
  type Descriptor,
  digestOfBlobPath,
  dockerManifestFile,
  hostPlatform,
  indexFile,
  isIndex,
  isManifest,
  layoutFile,
  maxConfigSize,
  mediaTypes,
  parseIndex,
} from "@hull/oci";
import type { ContentStore } from "../content/index.ts";
import { type Context, contextFor } from "../context.ts";
import { readTar, text } from "../diff/tar/index.ts";
import type { Image } from "../images/index.ts";
import { uncompressed } from "./archive.ts";
import { type ArchiveFile, ArchiveFiles } from "./archive-files.ts";
import { readBlob, requireSize } from "./blobs.ts";
import { convertDockerArchive } from "./docker-archive.ts";
import type { ImportOptions } from "./index.ts";
import { withLease } from "./lease.ts";
import { ProgressReporter } from "./progress.ts";
import { type PullDependencies, recordImage } from "./pull.ts";
import { isRunnable, type PlatformImage, unpackedPlatforms, walkImages } from "./tree.ts";
import { unpackImage } from "./unpack.ts";

/** See Transfer.import. */
export function importArchive(
  ctx: Context,
  dependencies: PullDependencies,
  archive: AsyncIterable<Uint8Array>,
  options: ImportOptions,
): Promise<Image[]> {
  // An archive that failed is read from its start again: nothing of it is kept.
  return withLease(ctx, dependencies.leases, `import ${crypto.randomUUID()}`, async (leased) => {
    using progress = new ProgressReporter(options.progress);
    const files = await readArchive(leased, dependencies.content, archive, progress);
    const { index, descriptor } = await findIndex(leased, dependencies.content, files, options);
    const targets = imagesOf(index, descriptor, options);
    const images = new Map<string, PlatformImage>();
    for (const target of new Map(targets.map((named) => [named.target.digest, named.target])).values())
      for (const image of await checked(leased, dependencies.content, target, options))
        images.set(image.descriptor.digest, image);
    await unpackAll(leased, dependencies, [...images.values()], options, progress);
    const recorded: Image[] = [];
    for (const { name, target } of targets) {
      progress.step("saving", name);
      recorded.push(await recordImage(leased, dependencies.images, { name, target, labels: options.labels ?? {} }));
      progress.step("done", name);
    }
    return recorded;
  });
}

/** Reads the tar to its end; every file's bytes go straight into the content store. */
async function readArchive(
  ctx: Context,
  content: ContentStore,
  archive: AsyncIterable<Uint8Array>,
  progress: ProgressReporter,
): Promise<ArchiveFiles> {
  const files = new ArchiveFiles();
  for await (const member of readTar(uncompressed(archive))) {
    if (ctx.signal.aborted) throw HullError.from(ctx.signal.reason);
    const path = cleaned(text(member.name));
    if (path === undefined) continue;
    if (member.type === "symlink" || member.type === "hardlink") {
      files.link(path, text(member.linkName), member.type);
      continue;
    }
    if (member.type !== "file") continue;
    files.add(path, await storeFile(ctx, content, path, member.size, member.body, progress));
  }
  if (files.size === 0)
    throw invalidArgument("the archive is empty or no tar archive: give an OCI layout or what `docker save` writes");
  return files;
}

/** The path inside the archive without `./`; undefined for what isn't inside. Paths are only names here, nothing is written to them. */
function cleaned(path: string): string | undefined {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.length === 0 || parts.includes("..") ? undefined : parts.join("/");
}

async function storeFile(
  ctx: Context,
  content: ContentStore,
  path: string,
  size: number,
  body: AsyncIterable<Uint8Array>,
  progress: ProgressReporter,
): Promise<ArchiveFile> {
  const expected = digestOfBlobPath(path);
  const ref = `import-${crypto.randomUUID()}`;
  const described: Descriptor = { mediaType: "", digest: expected ?? path, size };
  const finish = (digest: string): ArchiveFile => {
    progress.state("complete", { ...described, digest }, size);
    return { digest, size };
  };
  let opened: Awaited<ReturnType<ContentStore["writer"]>>;
  try {
    opened = await content.writer(ctx, ref, { total: size, expected });
  } catch (error) {
    if (expected === undefined || !isCode(error, "alreadyExists")) throw error;
    return { digest: expected, size };
  }
  let done = false;
  try {
    await using writer = opened;
    // Another namespace has it: the store needs no bytes.
    if (writer.offset === 0) {
      progress.state("saving", described);
      for await (const chunk of body) {
        await writer.write(chunk);
        progress.bytes("saving", described, writer.offset);
        if (ctx.signal.aborted) throw HullError.from(ctx.signal.reason);
      }
    }
    const { digest } = await commit(writer, size, expected, path);
    done = true;
    return finish(digest);
  } finally {
    if (!done) await content.abort(contextFor(ctx.namespace), ref).catch(() => undefined);
  }
}

async function commit(
  writer: Awaited<ReturnType<ContentStore["writer"]>>,
  size: number,
  expected: string | undefined,
  path: string,
): Promise<{ digest: string }> {
  const digest = writer.digest();
  try {
    return await writer.commit({ size, expected });
  } catch (error) {
    if (isCode(error, "alreadyExists")) return { digest: expected ?? digest };
    if (isCode(error, "failedPrecondition"))
      throw invalidArgument(`"${path}" in the archive holds other bytes than its name says: ${error.message}`, {
        cause: error,
      });
    throw error;
  }
}

/** The index of what the archive holds: its own, or one made of what `docker save` describes. */
async function findIndex(
  ctx: Context,
  content: ContentStore,
  files: ArchiveFiles,
  options: ImportOptions,
): Promise<{ index: Descriptor[]; descriptor: Descriptor }> {
  const small = async (path: string) => {
    const file = files.get(path);
    return file === undefined ? undefined : readBlob(ctx, content, file, maxConfigSize);
  };
  const layout = await small(layoutFile);
  const index = await small(indexFile);
  const indexBlob = files.get(indexFile);
  if (layout !== undefined && index !== undefined && indexBlob !== undefined) {
    checkLayout(new TextDecoder().decode(layout));
    const { manifests } = parseIndex(`"${indexFile}" in the archive`, index);
    return {
      index: manifests,
      descriptor: { mediaType: mediaTypes.ociIndex, digest: indexBlob.digest, size: indexBlob.size },
    };
  }
  const docker = await small(dockerManifestFile);
  if (docker !== undefined) return convertDockerArchive(ctx, content, files, docker, options);
  if (layout !== undefined)
    throw invalidArgument(`the archive has "${layoutFile}" but no "${indexFile}": it is cut off or was made wrongly`);
  if (files.get("repositories") !== undefined)
    throw invalidArgument(
      'the archive is of a Docker before 1.10 (no "manifest.json"): save it again with a newer one',
    );
  throw invalidArgument(
    `the archive is neither an OCI layout ("${layoutFile}", "${indexFile}") nor from docker save ("${dockerManifestFile}")`,
  );
}

interface NamedTarget {
  name: string;
  target: Descriptor;
}

function imagesOf(manifests: readonly Descriptor[], index: Descriptor, options: ImportOptions): NamedTarget[] {
  const named: NamedTarget[] = options.indexName === undefined ? [] : [{ name: options.indexName, target: index }];
  for (const target of manifests) {
    const name = nameOf(target, options);
    if (name !== undefined) named.push({ name, target });
    const byDigest = name === undefined || options.skipDigestForNamed !== true;
    if (options.digestPrefix !== undefined && byDigest)
      named.push({ name: `${options.digestPrefix}@${target.digest}`, target });
  }
  return named;
}

/** The name that an archive gives an image; a bare tag needs a base name in front. */
function nameOf(
  { annotations: given = {} }: Descriptor,
  { baseName, onlyBaseName }: ImportOptions,
): string | undefined {
  const name = given[annotations.imageName] || given[annotations.refName] || "";
  if (name === "") return undefined;
  if (!/[/:@]/.test(name) && name !== given[annotations.imageName])
    return baseName === undefined ? undefined : `${baseName}:${name}`;
  return onlyBaseName === true && !hasPrefix(name, baseName ?? "") ? undefined : name;
}

/** True if a name is the prefix, or goes on behind it with another part. */
function hasPrefix(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && (name.length === prefix.length || "/:@".includes(name.charAt(prefix.length)));
}

/** Labels the tree of a target, and makes sure that what is wished of it is all there. Gives the images that are. */
async function checked(
  ctx: Context,
  content: ContentStore,
  target: Descriptor,
  { platforms, manifestLimit }: ImportOptions,
): Promise<PlatformImage[]> {
  const what = target.digest;
  if (!isManifest(target.mediaType) && !isIndex(target.mediaType))
    throw invalidArgument(`"${what}" in the archive has the media type "${target.mediaType}", which is no image's`);
  try {
    // Without a wish: whatever of the index the archive brought, but what it brought for this host has to be whole.
    const images = await walkImages(ctx, target, {
      content,
      platforms: platforms ?? "all",
      sparse: platforms === undefined,
      optional: true,
      manifestLimit,
    });
    const whole: PlatformImage[] = [];
    let missing: string | undefined;
    for (const image of images) {
      const lacking = await firstMissing(ctx, content, image);
      if (lacking === undefined) whole.push(image);
      else if (platforms !== undefined || isRunnable(image, [hostPlatform()]))
        throw notFound(`layer "${lacking}" of "${what}"`);
      else missing = lacking;
    }
    if (missing !== undefined && whole.length === 0) throw notFound(`layer "${missing}" of "${what}"`);
    return whole;
  } catch (error) {
    if (isCode(error, "notFound"))
      throw invalidArgument(`the archive is incomplete: ${error.message}: not found`, { cause: error });
    throw error;
  }
}

async function firstMissing(
  ctx: Context,
  content: ContentStore,
  { manifest }: PlatformImage,
): Promise<string | undefined> {
  for (const layer of manifest.layers) {
    try {
      await requireSize(ctx, content, layer);
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
      return layer.digest;
    }
  }
  return undefined;
}

async function unpackAll(
  ctx: Context,
  dependencies: PullDependencies,
  images: readonly PlatformImage[],
  options: ImportOptions,
  progress: ProgressReporter,
): Promise<void> {
  const { unpack } = options;
  if (unpack === undefined) return;
  const snapshotter = dependencies.snapshotter(unpack.snapshotter);
  const wished = unpackedPlatforms(options);
  for (const image of images) {
    if (isRunnable(image, wished))
      await unpackImage(ctx, dependencies, { image, snapshotter, syncFs: unpack.syncFs, progress });
  }
}
