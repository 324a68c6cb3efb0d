import { TransferDefinition } from "@hull/api/gen/containerd/services/transfer/v1/transfer";
import { ImageStore as WireImageStore } from "@hull/api/gen/containerd/types/transfer/imagestore";
import { ImageImportStream } from "@hull/api/gen/containerd/types/transfer/importexport";
import { Progress as WireProgress } from "@hull/api/gen/containerd/types/transfer/progress";
import {
  AuthRequest,
  AuthResponse,
  AuthType,
  OCIRegistry,
  type RegistryResolver,
} from "@hull/api/gen/containerd/types/transfer/registry";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { decodeAny, encodeAny, typeNameOf } from "@hull/api/typeurl";
import type { Context } from "@hull/engine/context";
import type { ImageStore } from "@hull/engine/images/index";
import {
  type CredentialsProvider,
  hostsFromDirectories,
  openRegistry,
  type Registry,
} from "@hull/engine/registry/index";
import type { Progress, ProgressListener, PullOptions, Transfer, UnpackOptions } from "@hull/engine/transfer/index";
import { HullError, isCode, unimplemented } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import { type Service, service } from "../server/service.ts";
import { receiveBytes } from "./byte-stream.ts";
import type { ServerStream, Streams } from "./streaming.ts";
import { contextOf, need, toWireDescriptor } from "./wire.ts";

const types = {
  registry: "containerd.types.transfer.OCIRegistry",
  store: "containerd.types.transfer.ImageStore",
  archive: "containerd.types.transfer.ImageImportStream",
  progress: "containerd.types.transfer.Progress",
  authRequest: "containerd.types.transfer.AuthRequest",
  authResponse: "containerd.types.transfer.AuthResponse",
} as const;

export interface TransferServiceOptions {
  transfer: Transfer;
  images: ImageStore;
  streams: Streams;
}

/** containerd's transfer service: pulls, imports and tags, with progress and credentials over streams that the client opens before. */
export const transferService = (options: TransferServiceOptions): Service =>
  service(TransferDefinition, {
    async transfer(request, call) {
      const ctx = contextOf(call);
      await using stack = new AsyncDisposableStack();
      const progressId = request.options?.progressStream ?? "";
      let progress: ProgressSender | undefined;
      if (progressId !== "") {
        progress = new ProgressSender(stack.use(options.streams.claim(ctx.namespace, progressId)));
        stack.defer(() => progress?.flushed());
      }
      await run(
        options,
        stack,
        ctx,
        need(request.source, "source"),
        need(request.destination, "destination"),
        progress,
      );
      return {};
    },
  });

async function run(
  { transfer, images, streams }: TransferServiceOptions,
  stack: AsyncDisposableStack,
  ctx: Context,
  source: Any,
  destination: Any,
  progress: ProgressSender | undefined,
): Promise<void> {
  const route = `${typeNameOf(source.typeUrl)} > ${typeNameOf(destination.typeUrl)}`;
  switch (route) {
    case `${types.registry} > ${types.store}`: {
      const { reference, resolver } = decodeAny(source, types.registry, OCIRegistry);
      const store = decodeAny(destination, types.store, WireImageStore);
      const registry = registryOf(transfer, resolver, (id) => stack.use(streams.claim(ctx.namespace, id)), reference);
      progress?.step(`Pulling from OCI Registry (${reference})`);
      const image = await transfer.pull(ctx, registry, reference, {
        platforms: "all",
        ...pullOptions(store),
        progress: progress?.listener,
      });
      // The engine records what the registry calls it; the client may want another name for it.
      if (store.name !== "" && store.name !== image.name) await tag(images, ctx, image.name, store.name);
      progress?.step(`Completed pull from OCI Registry (${reference})`);
      return;
    }
    case `${types.archive} > ${types.store}`: {
      const { stream, mediaType, forceCompress } = decodeAny(source, types.archive, ImageImportStream);
      const store = decodeAny(destination, types.store, WireImageStore);
      if (forceCompress)
        throw unimplemented("compressing the layers of an archive is not supported: import it as it is");
      const bytes = receiveBytes(stack.use(streams.claim(ctx.namespace, stream)));
      progress?.step(mediaType === "" ? "Importing" : `Importing ${mediaType}`);
      const prefix = store.extraReferences.find(({ isPrefix }) => isPrefix);
      await transfer.import(ctx, bytes, {
        ...pullOptions(store),
        ...(store.name === "" ? {} : { indexName: store.name }),
        ...(prefix === undefined ? {} : { baseName: prefix.name }),
        ...(prefix?.addDigest ? { digestPrefix: prefix.name } : {}),
        progress: progress?.listener,
      });
      progress?.step("Completed import");
      return;
    }
    case `${types.store} > ${types.store}`: {
      const from = decodeAny(source, types.store, WireImageStore);
      const to = decodeAny(destination, types.store, WireImageStore);
      return await tag(images, ctx, from.name, to.name);
    }
    default:
      throw unimplemented(`transfer from "${source.typeUrl}" to "${destination.typeUrl}" is not supported`);
  }
}

async function tag(images: ImageStore, ctx: Context, from: string, to: string): Promise<void> {
  const { target, labels } = await images.get(ctx, from);
  try {
    await images.create(ctx, { name: to, target, labels });
  } catch (error) {
    if (!isCode(error, "alreadyExists")) throw error;
    await images.update(ctx, { name: to, target, labels }, ["target"]);
  }
}

function pullOptions({ labels, platforms, allMetadata, unpacks }: WireImageStore): PullOptions {
  if (allMetadata) throw unimplemented("fetching the metadata of all platforms is not supported: choose platforms");
  const [unpack] = unpacks;
  const wished = platforms.map(fromWirePlatform);
  return {
    labels,
    ...(wished.length === 0 ? {} : { platforms: wished }),
    ...(unpack === undefined ? {} : { unpack: unpackOptions(unpack.snapshotter) }),
  };
}

const unpackOptions = (snapshotter: string): UnpackOptions => ({
  snapshotter: snapshotter === "" ? "overlayfs" : snapshotter,
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

/** A registry as the client wishes it: its directory of hosts.toml files, if it names one, or the configuration's. */
function registryOf(
  { hostDirectories }: Transfer,
  resolver: RegistryResolver | undefined,
  claim: (stream: string) => ServerStream,
  reference: string,
): Registry {
  const { hostDir = "", defaultScheme = "", authStream = "", headers = {} } = resolver ?? {};
  const directories = hostDir === "" ? hostDirectories : [hostDir];
  return openRegistry({
    hosts: hostsFromDirectories(directories, { plainHttp: defaultScheme === "http" }),
    headers,
    ...(authStream === "" ? {} : { credentials: askOver(claim(authStream), reference) }),
  });
}

/** Asks the client for credentials, one question at a time. */
function askOver(stream: ServerStream, reference: string): CredentialsProvider {
  let last: Promise<unknown> = Promise.resolve();
  return (host) => {
    const answer = last.then(async () => {
      await stream.send(encodeAny(types.authRequest, AuthRequest, { host, reference, wwwauthenticate: [] }));
      const message = await stream.receive();
      if (message === undefined) return undefined;
      const { authType, username, secret } = decodeAny(message, types.authResponse, AuthResponse);
      switch (authType) {
        case AuthType.CREDENTIALS:
          return { username, secret };
        case AuthType.REFRESH:
          return { identityToken: secret };
        default:
          return undefined;
      }
    });
    last = answer.catch(() => {});
    return answer;
  };
}

/** Progress on its way to a client. A slow one misses what is in between, never what is last. */
class ProgressSender {
  readonly #stream: ServerStream;
  readonly #pending = new Map<string, Progress>();
  #sending: Promise<void> | undefined;

  constructor(stream: ServerStream) {
    this.#stream = stream;
  }

  readonly listener: ProgressListener = (progress) => {
    // The order of first mention is kept; what is newer replaces what has not gone out.
    this.#pending.set(progress.name, progress);
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  };

  /** What the transfer as a whole is doing. */
  step(event: string): void {
    this.listener({ event, name: "" });
  }

  async flushed(): Promise<void> {
    await this.#sending;
  }

  async #send(): Promise<void> {
    for (const [name, progress] of this.#pending) {
      this.#pending.delete(name);
      try {
        await this.#stream.send(encodeAny(types.progress, WireProgress, toWire(progress)));
      } catch (error) {
        // Nobody looks any more; the transfer itself goes on until it is canceled.
        if (HullError.from(error).code !== "canceled") throw error;
        this.#pending.clear();
      }
    }
  }
}

const toWire = ({ event, name, parents = [], progress = 0, total = 0, descriptor }: Progress): WireProgress => ({
  event,
  name,
  parents: [...parents],
  progress: BigInt(progress),
  total: BigInt(total),
  desc: descriptor === undefined ? undefined : toWireDescriptor(descriptor),
});
