import { TransferDefinition } from "@hull/api/gen/containerd/services/transfer/v1/transfer";
import { ImageStore } from "@hull/api/gen/containerd/types/transfer/imagestore";
import { ImageExportStream, ImageImportStream } from "@hull/api/gen/containerd/types/transfer/importexport";
import { Progress } from "@hull/api/gen/containerd/types/transfer/progress";
import {
  AuthRequest,
  AuthResponse,
  AuthType,
  HTTPDebug,
  OCIRegistry,
} from "@hull/api/gen/containerd/types/transfer/registry";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { transferOptionsHeader } from "@hull/api/metadata";
import type { PartialOf } from "@hull/api/rpc";
import { decodeAny, encodeAny, isType } from "@hull/api/typeurl";
import { isCode, unimplemented } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import { hostPlatform } from "@hull/oci/platform";
import type { Client } from "./client.ts";
import { ClientStreams, lastBytesMs } from "./transfer-streams.ts";

const types = {
  registry: "containerd.types.transfer.OCIRegistry",
  store: "containerd.types.transfer.ImageStore",
  archive: "containerd.types.transfer.ImageImportStream",
  newArchive: "containerd.types.transfer.ImageExportStream",
  progress: "containerd.types.transfer.Progress",
  authRequest: "containerd.types.transfer.AuthRequest",
  authResponse: "containerd.types.transfer.AuthResponse",
} as const;

/** A step of a transfer: `event` as the daemon words it, `name` of the blob (`layer-sha256:…`) or image; "" for the whole. */
export interface TransferProgress {
  readonly event: string;
  readonly name: string;
  readonly parents: readonly string[];
  /** Bytes so far, and in all. */
  readonly progress: number;
  readonly total: number;
}

export interface TransferOptions {
  readonly onProgress?: (progress: TransferProgress) => void;
  readonly signal?: AbortSignal;
  /** Snapshotter to unpack into; none: nothing is unpacked. */
  readonly unpack?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Empty: all that there are. */
  readonly platforms?: readonly Platform[];
  /** Of a pull: manifests and configs of all other platforms too. */
  readonly allMetadata?: boolean;
}

/** Who one is to a registry: a name and secret, a token to get tokens with, or the header `Authorization` itself. */
export type TransferCredentials =
  | { readonly username: string; readonly secret: string }
  | { readonly refreshToken: string }
  | { readonly header: string };

export interface PullOptions extends TransferOptions {
  readonly plainHttp?: boolean;
  /** Directory of `hosts.toml` files on the daemon's machine. */
  readonly hostDirectory?: string;
  /** Given to a registry that wants them; a function is told which host that is. */
  readonly credentials?: TransferCredentials | ((host: string) => Promise<TransferCredentials | undefined>);
  /** Shown every request to a registry and what it answered, without secrets. */
  readonly onHttp?: (text: Uint8Array) => void;
  /** The daemon writes a line about every request to its log, at level debug. */
  readonly traceHttp?: boolean;
  /** Of a pull, by hull's daemon (containerd takes its configuration's): blobs fetched side by side. */
  readonly maxConcurrentDownloads?: number;
  /** Of a pull, by hull's daemon: manifests and configs, no layers. */
  readonly metadataOnly?: boolean;
}

export interface ImportOptions extends TransferOptions {
  /** Put before names that are a tag alone. */
  readonly baseName?: string;
  /** Leave images out whose full name doesn't begin with the base name. */
  readonly onlyBaseName?: boolean;
  /** Record every manifest by its digest too. */
  readonly digests?: boolean;
  /** … but not those that have a name. */
  readonly skipDigestForNamed?: boolean;
  /** Compress layers of a `docker save` archive that aren't. */
  readonly compressLayers?: boolean;
  /** Record the archive's whole index under this name. */
  readonly indexName?: string;
}

export interface ExportOptions extends Pick<TransferOptions, "onProgress" | "signal"> {
  /** Which of an index; this host's unless told, every one for "all". */
  readonly platforms?: readonly Platform[] | "all";
  /** Leave the `manifest.json` of `docker save` out. */
  readonly skipDockerManifest?: boolean;
  /** Leave layers out that may not be distributed. */
  readonly skipNonDistributable?: boolean;
}

export interface PushOptions
  extends Pick<
    PullOptions,
    "onProgress" | "signal" | "plainHttp" | "credentials" | "hostDirectory" | "onHttp" | "traceHttp"
  > {
  /** Which of an index; all of it unless told. */
  readonly platforms?: readonly Platform[];
  /** To hull's daemon (containerd takes its configuration's): blobs sent side by side. */
  readonly maxConcurrentUploads?: number;
  /** To hull's daemon: also layers that their publisher doesn't let others distribute. */
  readonly foreignLayers?: boolean;
}

/** Fetches an image, unpacks it and records it under its reference. @throws Unimplemented on a daemon without the transfer service */
export async function pullImage(client: Client, reference: string, options: PullOptions = {}): Promise<void> {
  await using streams = new ClientStreams(client);
  const source = await registryOf(streams, reference, options);
  await transfer(client, streams, source, storeOf(reference, options), options);
}

/**
 * Uploads an image to the registry that `reference` names; `image` is what it is called here, if that is something else.
 * @throws as pullImage; NotFound if there is no such image, or its content isn't all here
 */
export async function pushImage(
  client: Client,
  reference: string,
  { image = reference, ...options }: PushOptions & { image?: string } = {},
): Promise<void> {
  await using streams = new ClientStreams(client);
  const destination = await registryOf(streams, reference, options);
  await transfer(client, streams, storeOf(image, options), destination, options);
}

/** Gives an image another name, in place of what is called so. @throws as pullImage; NotFound */
export async function tagImage(client: Client, image: string, name: string): Promise<void> {
  await using streams = new ClientStreams(client);
  await transfer(client, streams, storeOf(image, {}), storeOf(name, {}), {});
}

async function registryOf(
  streams: ClientStreams,
  reference: string,
  { credentials, plainHttp, hostDirectory = "", onHttp, traceHttp = false }: PullOptions,
): Promise<Any> {
  const authStream = credentials === undefined ? "" : await streams.serve("creds", credentialsAnswer(credentials));
  const logsStream = onHttp === undefined ? "" : await streams.show("http-debug-logs", onHttp);
  const dumping = traceHttp ? HTTPDebug.BOTH : HTTPDebug.DEBUG;
  const httpDebug = onHttp !== undefined ? dumping : traceHttp ? HTTPDebug.TRACE : HTTPDebug.DISABLED;
  const resolver = {
    authStream,
    defaultScheme: plainHttp ? "http" : "",
    hostDir: hostDirectory,
    httpDebug,
    logsStream,
  };
  return encodeAny(types.registry, OCIRegistry, { reference, resolver });
}

/**
 * The images of these names as one archive: an OCI layout that `docker load` takes too. An error comes after the bytes that there were.
 * @throws as pullImage; NotFound if there is no such image, or its content isn't all here
 */
export async function* exportImages(
  client: Client,
  names: readonly string[],
  { platforms = [], skipDockerManifest = false, skipNonDistributable = false, ...options }: ExportOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  await using streams = new ClientStreams(client);
  const { id, bytes, end } = await streams.receiveBytes("export");
  const destination = encodeAny(types.newArchive, ImageExportStream, {
    stream: id,
    platforms: platforms === "all" ? [] : platforms.map(toWirePlatform),
    allPlatforms: platforms === "all",
    skipCompatibilityManifest: skipDockerManifest,
    skipNonDistributable,
  });
  const extraReferences = names.map((name) => ({ name }));
  const done = transfer(client, streams, storeOf("", {}, extraReferences), destination, options);
  // containerd leaves its side of the stream open: what it sent arrives before or soon after the answer of the call.
  done.then(
    () => setTimeout(end, lastBytesMs),
    () => end(),
  );
  yield* bytes;
  await done;
}

/**
 * Reads an archive (OCI layout or of `docker save`), unpacks and records its images. Gives what it recorded, in order.
 * @throws as pullImage; InvalidArgument for an archive that is none or is cut off
 */
export async function importImages(
  client: Client,
  archive: AsyncIterable<Uint8Array>,
  options: ImportOptions = {},
): Promise<string[]> {
  await using streams = new ClientStreams(client);
  const stream = await streams.sendBytes("import", archive);
  const { baseName, indexName = "", digests: addDigest = false, skipDigestForNamed: skipNamedDigest = false } = options;
  const { onlyBaseName = false, compressLayers: forceCompress = false } = options;
  const prefix = { isPrefix: true, allowOverwrite: !onlyBaseName, addDigest, skipNamedDigest };
  const extraReferences = baseName === undefined ? [] : [{ name: baseName, ...prefix }];
  const names: string[] = [];
  await transfer(
    client,
    streams,
    encodeAny(types.archive, ImageImportStream, { stream, forceCompress }),
    storeOf(indexName, options, extraReferences),
    {
      ...options,
      onProgress: (progress) => {
        if (progress.event === "done" || progress.event === "saved") names.push(progress.name);
        options.onProgress?.(progress);
      },
    },
  );
  return names;
}

async function transfer(
  client: Client,
  streams: ClientStreams,
  source: Any,
  destination: Any,
  { onProgress, signal, ...extra }: TransferOptions & ExtraOptions,
): Promise<void> {
  const progressStream = onProgress === undefined ? "" : await streams.listen("progress", progressOf(onProgress));
  const query = extraQuery(extra);
  try {
    await client.service(TransferDefinition).transfer(
      { source, destination, options: { progressStream } },
      {
        ...(signal === undefined ? {} : { signal }),
        ...(query === "" ? {} : { metadata: { [transferOptionsHeader]: query } }),
      },
    );
  } catch (error) {
    // The daemon only knows that a stream ended.
    if (streams.failure !== undefined) throw streams.failure;
    if (isCode(error, "unimplemented") && error.message.includes("unknown"))
      throw unimplemented("the daemon has no transfer service: containerd has one since version 2.0", { cause: error });
    throw error;
  }
  // The daemon ends the stream when all is sent.
  if (progressStream !== "") await streams.ended(progressStream);
  await streams.shown();
}

type ExtraOptions = Pick<PullOptions, "maxConcurrentDownloads" | "metadataOnly"> &
  Pick<PushOptions, "maxConcurrentUploads" | "foreignLayers">;

function extraQuery(options: ExtraOptions): string {
  const query = new URLSearchParams();
  const add = (key: string, value: number | boolean | undefined): void => {
    if (value !== undefined && value !== false) query.set(key, String(value));
  };
  add("max-concurrent-downloads", options.maxConcurrentDownloads);
  add("metadata-only", options.metadataOnly);
  add("max-concurrent-uploads", options.maxConcurrentUploads);
  add("foreign-layers", options.foreignLayers);
  return query.toString();
}

function storeOf(
  name: string,
  { labels = {}, platforms = [], unpack, allMetadata = false }: TransferOptions,
  extraReferences: PartialOf<typeof ImageStore>["extraReferences"] = [],
): Any {
  return encodeAny(types.store, ImageStore, {
    name,
    labels: { ...labels },
    allMetadata,
    platforms: platforms.map(toWirePlatform),
    extraReferences,
    // Without a platform containerd unpacks nothing.
    unpacks:
      unpack === undefined
        ? []
        : (platforms.length === 0 ? [hostPlatform()] : platforms).map((platform) => ({
            platform: toWirePlatform(platform),
            snapshotter: unpack,
          })),
  });
}

const toWirePlatform = ({ os, architecture, variant = "", "os.version": osVersion = "" }: Platform) => ({
  os,
  architecture,
  variant,
  osVersion,
});

const progressOf =
  (onProgress: (progress: TransferProgress) => void) =>
  (message: Any): void => {
    if (!isType(message, types.progress)) return;
    const { event, name, parents, progress, total } = decodeAny(message, types.progress, Progress);
    onProgress({ event, name, parents, progress: Number(progress), total: Number(total) });
  };

function credentialsAnswer(credentials: NonNullable<PullOptions["credentials"]>): (question: Any) => Promise<Any> {
  return async (question) => {
    const { host } = decodeAny(question, types.authRequest, AuthRequest);
    const own = typeof credentials === "function" ? await credentials(host) : credentials;
    return encodeAny(types.authResponse, AuthResponse, answerOf(own));
  };
}

function answerOf(credentials: TransferCredentials | undefined): PartialOf<typeof AuthResponse> {
  if (credentials === undefined) return { authType: AuthType.NONE };
  if ("refreshToken" in credentials) return { authType: AuthType.REFRESH, secret: credentials.refreshToken };
  if ("header" in credentials) return { authType: AuthType.HEADER, secret: credentials.header };
  return { authType: AuthType.CREDENTIALS, username: credentials.username, secret: credentials.secret };
}
