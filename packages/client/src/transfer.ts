import { StreamInit, StreamingDefinition } from "@hull/api/gen/containerd/services/streaming/v1/streaming";
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
import { Data, WindowUpdate } from "@hull/api/gen/containerd/types/transfer/streaming";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { transferOptionsHeader } from "@hull/api/metadata";
import type { PartialOf } from "@hull/api/rpc";
import { decodeAny, encodeAny, isType } from "@hull/api/typeurl";
import { canceled, isCode, unimplemented } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import type { Client } from "./client.ts";

const types = {
  init: "containerd.services.streaming.v1.StreamInit",
  registry: "containerd.types.transfer.OCIRegistry",
  store: "containerd.types.transfer.ImageStore",
  archive: "containerd.types.transfer.ImageImportStream",
  newArchive: "containerd.types.transfer.ImageExportStream",
  progress: "containerd.types.transfer.Progress",
  authRequest: "containerd.types.transfer.AuthRequest",
  authResponse: "containerd.types.transfer.AuthResponse",
  data: "containerd.types.transfer.Data",
  window: "containerd.types.transfer.WindowUpdate",
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
    unpacks: unpack === undefined ? [] : [{ snapshotter: unpack }],
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

/** The most bytes in one message. */
const chunk = 256 * 1024;
/** What the other side may be ahead when it sends. */
const receiveWindow = 2 * 1024 * 1024;
/** How long the last bytes are waited for when the other side doesn't say which they are, ms. */
const lastBytesMs = 250;

/** Streams that are opened for a transfer, and end with it. */
class ClientStreams implements AsyncDisposable {
  readonly #client: Client;
  readonly #abort = new AbortController();
  readonly #ends = new Map<string, Promise<void>>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Opens a stream whose messages go to `receive`. Gives its id. */
  listen(kind: string, receive: (message: Any) => void): Promise<string> {
    return this.#open(kind, new Outgoing(), receive);
  }

  /** Opens a stream on which each question is answered; one that can't be ends the transfer. */
  serve(kind: string, answer: (question: Any) => Promise<Any>): Promise<string> {
    const outgoing = new Outgoing();
    return this.#open(kind, outgoing, (question) => {
      answer(question).then(
        (message) => outgoing.push(message),
        (error: unknown) => this.fail(error),
      );
    });
  }

  /** What went wrong on this side, if anything did; it ended all streams. */
  failure: unknown;

  fail(error: unknown): void {
    this.failure ??= error;
    this.#abort.abort(error);
  }

  /** Opens a stream and sends bytes over it, within the window that the other side opens. */
  async sendBytes(kind: string, bytes: AsyncIterable<Uint8Array>): Promise<string> {
    const outgoing = new Outgoing();
    const window = new Window();
    const id = await this.#open(kind, outgoing, (message) =>
      window.open(decodeAny(message, types.window, WindowUpdate).update),
    );
    const sending = (async () => {
      for await (const data of bytes) {
        for (let at = 0; at < data.length; ) {
          const size = await window.take(Math.min(chunk, data.length - at));
          await outgoing.send(encodeAny(types.data, Data, { data: data.subarray(at, at + size) }));
          at += size;
        }
      }
      outgoing.end();
    })();
    // What can't be read is told to the transfer by ending the stream, and by the error of the call.
    sending.catch((error: unknown) => this.fail(error));
    return id;
  }

  /** Opens a stream on which the other side sends bytes, and gives them as they come. */
  async receiveBytes(kind: string): Promise<{ id: string; bytes: AsyncIterable<Uint8Array>; end: () => void }> {
    const outgoing = new Outgoing();
    const incoming = new Incoming();
    const id = await this.#open(kind, outgoing, (message) => {
      incoming.push(decodeAny(message, types.data, Data).data);
    });
    this.#ends.get(id)?.then(
      () => incoming.end(),
      (error: unknown) => incoming.end(error),
    );
    const open = (update: number): void => outgoing.push(encodeAny(types.window, WindowUpdate, { update }));
    async function* bytes(): AsyncGenerator<Uint8Array, void, undefined> {
      open(receiveWindow);
      for await (const data of incoming.bytes()) {
        yield data;
        open(data.length);
      }
    }
    return { id, bytes: bytes(), end: () => incoming.end() };
  }

  readonly #shows: Promise<void>[] = [];

  /** Opens a stream on which the other side sends bytes for somebody to look at. Gives its id. */
  async show(kind: string, write: (bytes: Uint8Array) => void): Promise<string> {
    const { id, bytes } = await this.receiveBytes(kind);
    const showing = (async () => {
      for await (const piece of bytes) write(piece);
    })();
    // That the stream broke is the transfer's to tell.
    this.#shows.push(showing.catch(() => {}));
    return id;
  }

  /** Resolves when all that was sent to look at has been shown; a daemon that doesn't end its streams is not waited for long. */
  async shown(): Promise<void> {
    if (this.#shows.length === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, lastBytesMs);
    await Promise.race([Promise.all(this.#shows), promise]);
    clearTimeout(timer);
  }

  /** Resolves when the other side has ended the stream. */
  async ended(id: string): Promise<void> {
    await this.#ends.get(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(canceled("the transfer is over"));
    await Promise.allSettled(this.#ends.values());
  }

  async #open(kind: string, outgoing: Outgoing, receive: (message: Any) => void): Promise<string> {
    const id = `${kind}-${crypto.randomUUID()}`;
    outgoing.push(encodeAny(types.init, StreamInit, { id }));
    const { signal } = this.#abort;
    const answers = this.#client.service(StreamingDefinition).stream(outgoing.messages(), { signal });
    const opened = Promise.withResolvers<void>();
    const reading = (async () => {
      let first = true;
      for await (const message of answers) {
        if (first) opened.resolve();
        else receive(message);
        first = false;
      }
    })();
    reading.catch(opened.reject);
    this.#ends.set(id, reading);
    await opened.promise;
    return id;
  }
}

/** Messages on their way out. */
class Outgoing {
  readonly #queue: { message: Any; taken?: () => void }[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(message: Any): void {
    this.#queue.push({ message });
    this.#wake?.();
  }

  /** Resolves when the message has been taken. */
  send(message: Any): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push({ message, taken: resolve });
      this.#wake?.();
    });
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *messages(): AsyncGenerator<Any, void, undefined> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        yield next.message;
        next.taken?.();
      } else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** Bytes on their way in; there are never more than the window that was opened for them. */
class Incoming {
  readonly #queue: Uint8Array[] = [];
  #ended = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  push(data: Uint8Array): void {
    this.#queue.push(data);
    this.#wake?.();
  }

  /** Nothing follows; the first word on that counts. */
  end(failure?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#wake?.();
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else if (this.#failure !== undefined) throw this.#failure;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** Bytes that may still be sent. */
class Window {
  #left = 0;
  #wake: (() => void) | undefined;

  open(bytes: number): void {
    this.#left += bytes;
    this.#wake?.();
  }

  /** Waits until something may be sent; gives how much of what is wanted. */
  async take(wanted: number): Promise<number> {
    while (this.#left <= 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const size = Math.min(wanted, this.#left);
    this.#left -= size;
    return size;
  }
}
