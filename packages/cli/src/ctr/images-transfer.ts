import { accessSync, constants, createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import type { Client } from "@hull/client/client";
import { getImage, type PlatformImage, platformImage, snapshotOf } from "@hull/client/images";
import { readShared } from "@hull/client/io/pump";
import { leaseId, withLease } from "@hull/client/lease";
import { exportImages, importImages, pullImage, pushImage } from "@hull/client/transfer";
import { unpackImage } from "@hull/client/unpack";
import type { Descriptor, Platform } from "@hull/oci/descriptor";
import { hostPlatform, parsePlatform } from "@hull/oci/platform";
import type { FlagValues } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { checkDigest } from "./content.ts";
import { CtrError } from "./errors.ts";
import type { imagesExport, imagesImport, imagesPull, imagesPush } from "./flags.ts";
import { defaultSnapshotter } from "./globals.ts";
import { parseLabels } from "./labels.ts";
import { registryOptions } from "./registry-options.ts";
import { TransferDisplay } from "./transfer-display.ts";

export const importArchive: CtrAction<typeof imagesImport> = async ({ flags, args: [path = ""], globals, host }) => {
  const unpacking = localUnpack(flags);
  const archive = openArchive(path);
  const today = new Date().toISOString().slice(0, 10);
  return await withClient(globals, async (client) => {
    const unpack = flags["no-unpack"] ? undefined : (flags.snapshotter ?? defaultSnapshotter);
    const platforms = flags["all-platforms"]
      ? []
      : flags.platform === undefined
        ? undefined
        : [parsePlatform(flags.platform)];
    const names = await importImages(client, archive, {
      baseName: flags["base-name"] ?? `import-${today}`,
      onlyBaseName: flags["base-name"] !== undefined,
      digests: flags.digests,
      skipDigestForNamed: flags["skip-digest-for-named"],
      compressLayers: flags["compress-blobs"],
      labels: parseLabels(flags.label),
      ...(flags["index-name"] === undefined ? {} : { indexName: flags["index-name"] }),
      ...(platforms === undefined ? {} : { platforms }),
      ...(unpack === undefined || unpacking ? {} : { unpack }),
    });
    for (const name of names) {
      const { target } = await getImage(client, name);
      if (unpack !== undefined && unpacking)
        await unpackHere(client, target, { ...flags, snapshotter: unpack, platform: platforms?.[0] });
      const done = unpack === undefined ? "" : "...done";
      await host.out(`${unpack === undefined ? "imported" : "unpacking"} ${name} (${target.digest})${done}\n`);
    }
    return 0;
  });
};

/** True if the flags ask for an unpacking that this program has to steer. @throws CtrError in ctr's words */
function localUnpack(flags: FlagValues<typeof imagesImport>): boolean {
  if (flags["discard-unpacked-layers"]) {
    if (!flags.local) throw new CtrError('"--discard-unpacked-layers" requires "--local" flag');
    if (flags["no-unpack"]) throw new CtrError("--discard-unpacked-layers and --no-unpack are incompatible options");
  }
  return flags["discard-unpacked-layers"] || flags["sync-fs"];
}

interface HereOptions {
  readonly snapshotter: string;
  readonly platform: Platform | undefined;
  readonly "sync-fs": boolean;
  readonly "discard-unpacked-layers"?: boolean;
}

async function unpackHere(client: Client, target: Descriptor, options: HereOptions): Promise<void> {
  const { snapshotter, platform } = options;
  const image = await platformImage(client, target, platform ?? hostPlatform());
  await withLease(client, async (leased) => {
    await unpackImage(leased, image, { snapshotter, syncFs: options["sync-fs"] });
    if (options["discard-unpacked-layers"]) await forgetLayers(leased, image);
  });
}

const layerReference = "containerd.io/gc.ref.content.l.";

/** Has the manifest refer to its layers no more: the collector takes them, where nothing else does. */
async function forgetLayers(client: Client, { descriptor: { digest } }: PlatformImage): Promise<void> {
  const content = client.service(ContentDefinition);
  const { info } = await content.info({ digest });
  const names = Object.keys(info?.labels ?? {}).filter((name) => name.startsWith(layerReference));
  const labels = Object.fromEntries(names.map((name) => [name, ""]));
  const updateMask = names.map((name) => `labels.${name}`);
  if (names.length > 0) await content.update({ info: { digest, labels }, updateMask });
}

/** The archive's bytes. A path that can't be read is told at once, before the daemon is asked for anything. */
function openArchive(path: string): AsyncIterable<Uint8Array> {
  if (path === "-") return readShared(0, { keepAlive: true });
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") throw new CtrError(`open ${path}: no such file or directory`);
    if (code === "EACCES") throw new CtrError(`open ${path}: permission denied`);
    throw error;
  }
  return createReadStream(path, { highWaterMark: 1024 * 1024, autoClose: true });
}

export const pull: CtrAction<typeof imagesPull> = async ({ flags, args: [reference = ""], globals, host }) => {
  if (reference === "") throw new CtrError("please provide an image reference to pull");
  const platforms: Platform[] = flags.platform.map((text) => parsePlatform(text));
  const chosen = flags["all-platforms"] ? [] : platforms.length > 0 ? platforms : [hostPlatform()];
  const snapshotter = flags.snapshotter ?? defaultSnapshotter;
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    return await withClient(globals, async (client) => {
      using display = new TransferDisplay(host);
      using registry = registryOptions(flags, host);
      await pullImage(client, reference, {
        ...registry,
        labels: parseLabels(flags.label),
        platforms: chosen,
        // containerd's ctr fetches them unless it is told not to; --all-metadata is from before that.
        allMetadata: !flags["skip-metadata"],
        ...(flags["sync-fs"] ? {} : { unpack: snapshotter }),
        ...(flags["max-concurrent-downloads"] === undefined
          ? {}
          : { maxConcurrentDownloads: flags["max-concurrent-downloads"] }),
        signal: interrupt.signal,
        onProgress: (progress) => display.show(progress),
      });
      if (flags["sync-fs"]) {
        const { target } = await getImage(client, reference);
        for (const platform of chosen.length > 0 ? chosen : [hostPlatform()])
          await unpackHere(client, target, { snapshotter, platform, "sync-fs": true });
      }
      display.finish();
      if (flags["print-chainid"]) {
        for (const platform of chosen.length > 0 ? chosen : [hostPlatform()]) {
          const image = await platformImage(client, (await getImage(client, reference)).target, platform);
          await host.out(`image chain ID: ${snapshotOf(image)}\n`);
        }
      }
      return 0;
    });
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
};

export const exportArchive: CtrAction<typeof imagesExport> = async ({ flags, args, globals, host }) => {
  const [path = "", ...names] = args;
  if (path === "" || names.length === 0)
    throw new CtrError("please provide both an output filename and an image reference to export");
  const platforms = flags.platform.map((text) => parsePlatform(text));
  return await withClient(globals, async (client) => {
    const archive = exportImages(client, names, {
      platforms: flags["all-platforms"] ? "all" : platforms,
      skipDockerManifest: flags["skip-manifest-json"],
      skipNonDistributable: flags["skip-non-distributable"],
    });
    if (path === "-") for await (const bytes of archive) await host.out(bytes);
    else await writeArchive(path, archive);
    return 0;
  });
};

/** As containerd's ctr does, the file is made whatever comes. */
async function writeArchive(path: string, archive: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, "w", 0o666).catch((error: unknown) => {
    throw error instanceof Error && "code" in error && error.code === "ENOENT"
      ? new CtrError(`open ${path}: no such file or directory`)
      : error;
  });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => file.close());
  for await (const bytes of archive) await file.writeFile(bytes);
}

export const push: CtrAction<typeof imagesPush> = async ({ flags, args, globals, host }) => {
  const [reference = "", local = reference] = args;
  if (reference === "") throw new CtrError("please provide a remote image reference to push");
  const platforms = flags.platform.map((text) => parsePlatform(text));
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    return await withClient(globals, async (client) => {
      using registry = registryOptions(flags, host);
      // Before there is any progress to show.
      if (flags.manifest === undefined) await getImage(client, local);
      using display = new TransferDisplay(host);
      await using named = await manifestName(client, flags.manifest, flags["manifest-type"], local);
      await pushImage(client, reference, {
        ...registry,
        image: named.name,
        platforms,
        ...(flags["max-concurrent-uploaded-layers"] > 0
          ? { maxConcurrentUploads: flags["max-concurrent-uploaded-layers"] }
          : {}),
        foreignLayers: flags["allow-non-distributable-blobs"],
        signal: interrupt.signal,
        onProgress: (progress) => display.show(progress),
      });
      display.finish();
      return 0;
    });
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
};

/** A name for what is pushed: the daemon pushes images, so a manifest that is given by its digest is one for as long. */
async function manifestName(
  client: Client,
  digest: string | undefined,
  mediaType: string,
  local: string,
): Promise<AsyncDisposable & { name: string }> {
  if (digest === undefined) return { name: local, [Symbol.asyncDispose]: async () => {} };
  checkDigest(digest);
  const { info } = await client.service(ContentDefinition).info({ digest });
  const images = client.service(ImagesDefinition);
  const name = `push-${leaseId()}`;
  await images.create({ image: { name, target: { digest, mediaType, size: info?.size ?? 0n } } });
  return { name, [Symbol.asyncDispose]: async () => void (await images.delete({ name })) };
}
