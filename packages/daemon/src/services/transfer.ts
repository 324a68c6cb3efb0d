import { TransferDefinition } from "@hull/api/gen/containerd/services/transfer/v1/transfer";
import {
  type UnpackConfiguration,
  ImageStore as WireImageStore,
} from "@hull/api/gen/containerd/types/transfer/imagestore";
import { ImageExportStream, ImageImportStream } from "@hull/api/gen/containerd/types/transfer/importexport";
import { OCIRegistry } from "@hull/api/gen/containerd/types/transfer/registry";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { transferOptionsHeader } from "@hull/api/metadata";
import { decodeAny, typeNameOf } from "@hull/api/typeurl";
import type { Context } from "@hull/engine/context";
import type { ImageStore } from "@hull/engine/images/index";
import type { Logger } from "@hull/engine/log";
import type { ImportOptions, PullOptions, PushOptions, Transfer, UnpackOptions } from "@hull/engine/transfer/index";
import { invalidArgument, isCode, notFound, unimplemented } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import { type Service, service } from "../server/service.ts";
import { receiveBytes, sendBytes } from "./byte-stream.ts";
import type { ServerStream, Streams } from "./streaming.ts";
import { ProgressSender } from "./transfer-progress.ts";
import { registryOf } from "./transfer-registry.ts";
import { contextOf, need } from "./wire.ts";

const types = {
  registry: "containerd.types.transfer.OCIRegistry",
  store: "containerd.types.transfer.ImageStore",
  archive: "containerd.types.transfer.ImageImportStream",
  newArchive: "containerd.types.transfer.ImageExportStream",
} as const;

export interface TransferServiceOptions {
  transfer: Transfer;
  images: ImageStore;
  streams: Streams;
  log: Logger;
}

/**
 * containerd's transfer service: pulls, pushes, imports, exports and tags, with progress, bytes and credentials over streams that the
 * client opens before.
 */
export const transferService = (options: TransferServiceOptions): Service =>
  service(TransferDefinition, {
    async transfer(request, call) {
      const ctx = contextOf(call);
      await using stack = new AsyncDisposableStack();
      const claim = (id: string): ServerStream => stack.use(options.streams.claim(ctx.namespace, id));
      const progressId = request.options?.progressStream ?? "";
      let progress: ProgressSender | undefined;
      if (progressId !== "") {
        progress = new ProgressSender(claim(progressId));
        stack.defer(() => progress?.flushed());
      }
      const source = need(request.source, "source");
      const destination = need(request.destination, "destination");
      const extra = extraOptions(call.metadata(transferOptionsHeader));
      const defer = (end: () => Promise<void>): void => stack.defer(end);
      await run({ ...options, ctx, claim, progress, extra, signal: ctx.signal, defer }, source, destination);
      return {};
    },
  });

/** One call and what it works with. */
interface Run extends TransferServiceOptions {
  readonly ctx: Context;
  /** Takes a stream that the client opened; it ends with the call. */
  readonly claim: (stream: string) => ServerStream;
  readonly progress: ProgressSender | undefined;
  readonly extra: ExtraOptions;
  readonly signal: AbortSignal;
  /** Runs when the call ends. */
  readonly defer: (end: () => Promise<void>) => void;
}

type ExtraOptions = Pick<PullOptions, "maxConcurrentDownloads" | "metadataOnly"> &
  Pick<PushOptions, "maxConcurrentUploads" | "foreignLayers">;

/** Reads what the messages have no field for. @throws InvalidArgument for what is none of it */
function extraOptions(text = ""): ExtraOptions {
  const extra: ExtraOptions = {};
  for (const [key, value] of new URLSearchParams(text)) {
    const wrong = invalidArgument(`"${key}=${value}" in ${transferOptionsHeader} is no option of a transfer`);
    if (key === "metadata-only" || key === "foreign-layers") {
      if (value !== "true" && value !== "false") throw wrong;
      extra[key === "metadata-only" ? "metadataOnly" : "foreignLayers"] = value === "true";
    } else if (key === "max-concurrent-downloads" || key === "max-concurrent-uploads") {
      if (!/^[1-9]\d{0,3}$/.test(value)) throw wrong;
      extra[key === "max-concurrent-downloads" ? "maxConcurrentDownloads" : "maxConcurrentUploads"] = Number(value);
    } else throw wrong;
  }
  return extra;
}

function run(one: Run, source: Any, destination: Any): Promise<void> {
  switch (`${typeNameOf(source.typeUrl)} > ${typeNameOf(destination.typeUrl)}`) {
    case `${types.registry} > ${types.store}`:
      return pull(
        one,
        decodeAny(source, types.registry, OCIRegistry),
        decodeAny(destination, types.store, WireImageStore),
      );
    case `${types.store} > ${types.registry}`:
      return push(
        one,
        decodeAny(source, types.store, WireImageStore),
        decodeAny(destination, types.registry, OCIRegistry),
      );
    case `${types.archive} > ${types.store}`:
      return importArchive(
        one,
        decodeAny(source, types.archive, ImageImportStream),
        decodeAny(destination, types.store, WireImageStore),
      );
    case `${types.store} > ${types.newArchive}`:
      return exportArchive(
        one,
        decodeAny(source, types.store, WireImageStore),
        decodeAny(destination, types.newArchive, ImageExportStream),
      );
    case `${types.archive} > ${types.newArchive}`:
      return echo(
        one,
        decodeAny(source, types.archive, ImageImportStream),
        decodeAny(destination, types.newArchive, ImageExportStream),
      );
    case `${types.store} > ${types.store}`: {
      const from = decodeAny(source, types.store, WireImageStore);
      return tag(one.images, one.ctx, from.name, decodeAny(destination, types.store, WireImageStore));
    }
    default:
      throw unimplemented(`method Transfer not implemented for ${source.typeUrl} to ${destination.typeUrl}`);
  }
}

async function pull(one: Run, { reference, resolver }: OCIRegistry, store: WireImageStore): Promise<void> {
  const { transfer, images, ctx, progress, extra } = one;
  const registry = registryOf(one, resolver, reference);
  progress?.step(`Resolving from OCI Registry (${reference})`);
  const image = await transfer.pull(ctx, registry, reference, {
    platforms: "all",
    ...pullOptions(store),
    ...extra,
    progress: (step) => {
      if (step.event === "resolved") {
        progress?.step(`Pulling from OCI Registry (${reference})`);
        progress?.listener({ event: "fetching image content", name: store.name || reference });
      } else if (step.event === "done") progress?.listener({ ...step, event: "saved", name: store.name || step.name });
      else if (step.event !== "resolving" && step.event !== "saving") progress?.listener(step);
    },
  });
  // The engine records what the registry calls it; the client may want another name for it.
  if (store.name !== "" && store.name !== image.name) await tag(images, ctx, image.name, store);
  progress?.step(`Completed pull from OCI Registry (${reference})`);
}

async function push(one: Run, store: WireImageStore, { reference, resolver }: OCIRegistry): Promise<void> {
  const { transfer, images, ctx, progress, extra } = one;
  const registry = registryOf(one, resolver, reference);
  progress?.step(`Pushing to OCI Registry (${reference})`);
  const { name, target } = await images.get(ctx, store.name);
  progress?.listener({ event: "pushing content", name });
  const wished = store.platforms.map(fromWirePlatform);
  await transfer.push(ctx, registry, reference, target, {
    ...(wished.length === 0 ? {} : { platforms: wished }),
    parents: [name],
    ...extra,
    progress: progress?.listener,
  });
  progress?.listener({ event: "pushed content", name });
  progress?.step(`Completed push to OCI Registry (${reference})`);
}

async function importArchive(
  { transfer, ctx, claim, progress }: Run,
  { stream, mediaType, forceCompress }: ImageImportStream,
  store: WireImageStore,
): Promise<void> {
  const bytes = receiveBytes(claim(stream));
  progress?.step(mediaType === "" ? "Importing" : `Importing ${mediaType}`);
  await transfer.import(ctx, bytes, {
    ...pullOptions(store),
    ...importNames(store),
    compressLayers: forceCompress,
    progress: (step) => {
      if (step.event === "done") progress?.listener({ ...step, event: "saved" });
      else if (step.event === "extracting" || step.event === "extracted") progress?.listener(step);
    },
  });
  progress?.step("Completed import");
}

/** How the images of an archive are called: by its own names below a prefix, and the whole of it by the store's name. */
function importNames({ name, extraReferences }: WireImageStore): ImportOptions {
  const [prefix, ...others] = extraReferences.filter(({ isPrefix }) => isPrefix);
  if (others.length > 0) throw unimplemented("more than one prefix for the images of an archive is not supported");
  return {
    ...(name === "" ? {} : { indexName: name }),
    ...(prefix === undefined ? {} : { baseName: prefix.name, onlyBaseName: !prefix.allowOverwrite }),
    ...(prefix?.addDigest ? { digestPrefix: prefix.name, skipDigestForNamed: prefix.skipNamedDigest } : {}),
  };
}

async function exportArchive(
  { transfer, ctx, claim, progress }: Run,
  store: WireImageStore,
  { stream, platforms, allPlatforms, skipCompatibilityManifest, skipNonDistributable }: ImageExportStream,
): Promise<void> {
  const destination = claim(stream);
  progress?.step("Exporting");
  if (store.extraReferences.some(({ isPrefix }) => isPrefix))
    throw unimplemented("prefix lookup on export is not supported: name the images");
  const names = [...(store.name === "" ? [] : [store.name]), ...store.extraReferences.map(({ name }) => name)];
  const archive = transfer.export(ctx, names, {
    ...(allPlatforms
      ? { platforms: "all" }
      : platforms.length > 0
        ? { platforms: platforms.map(fromWirePlatform) }
        : {}),
    skipDockerManifest: skipCompatibilityManifest,
    skipForeignLayers: skipNonDistributable,
  });
  await sendBytes(destination, archive, ctx.signal);
  progress?.step("Completed export");
}

/** An archive straight back: what clients try their streams with. */
async function echo({ ctx, claim }: Run, source: ImageImportStream, destination: ImageExportStream): Promise<void> {
  await sendBytes(claim(destination.stream), receiveBytes(claim(source.stream)), ctx.signal);
}

/** Gives the target of an image another name. What has that name is replaced, its labels too. */
async function tag(images: ImageStore, ctx: Context, from: string, { name, labels }: WireImageStore): Promise<void> {
  const { target } = await images.get(ctx, from);
  if (name === "") throw notFound("no image name found");
  try {
    await images.create(ctx, { name, target, labels });
  } catch (error) {
    if (!isCode(error, "alreadyExists")) throw error;
    await images.update(ctx, { name, target, labels });
  }
}

function pullOptions({ labels, platforms, allMetadata, manifestLimit, unpacks }: WireImageStore): PullOptions {
  const [unpack, ...others] = unpacks;
  if (others.length > 0)
    throw unimplemented("unpacking for more than one platform or snapshotter at a time is not supported: name one");
  const wished = platforms.map(fromWirePlatform);
  return {
    labels,
    allMetadata,
    manifestLimit,
    ...(wished.length === 0 ? {} : { platforms: wished }),
    ...(unpack === undefined ? {} : { unpack: unpackOptions(unpack) }),
  };
}

const unpackOptions = ({ snapshotter, platform }: UnpackConfiguration): UnpackOptions => ({
  snapshotter: snapshotter === "" ? "overlayfs" : snapshotter,
  ...(platform === undefined || platform.os === "" ? {} : { platform: fromWirePlatform(platform) }),
});

function fromWirePlatform({
  os,
  architecture,
  variant,
  osVersion,
}: {
  os: string;
  architecture: string;
  variant: string;
  osVersion: string;
}): Platform {
  return {
    os,
    architecture,
    ...(variant === "" ? {} : { variant }),
    ...(osVersion === "" ? {} : { "os.version": osVersion }),
  };
}
