import { availableParallelism } from "node:os";
import type { Descriptor } from "@hull/oci/descriptor";
import { hostPlatform } from "@hull/oci/platform";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import type { Applier } from "../diff/index.ts";
import type { Image, ImageStore } from "../images/index.ts";
import type { LeaseStore } from "../leases/index.ts";
import { type Logger, silent } from "../log.ts";
import {
  type CredentialsProvider,
  hostsFromDirectories,
  openRegistry,
  type Registry,
  sendByFetch,
  withDump,
  withTrace,
} from "../registry/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import type { ImageVerifier } from "../verifier/index.ts";
import { exportImages } from "./export.ts";
import { importArchive } from "./import.ts";
import type {
  CallerRegistry,
  ExportOptions,
  ImportOptions,
  PullOptions,
  PushOptions,
  Transfer,
  UnpackOptions,
} from "./index.ts";
import { withLease } from "./lease.ts";
import { KeyedLocks, Slots } from "./locks.ts";
import { ProgressReporter } from "./progress.ts";
import { type PullDependencies, pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";
import { walkImages } from "./tree.ts";
import { unpackImage } from "./unpack.ts";

export interface LocalTransferOptions {
  content: ContentStore;
  images: ImageStore;
  leases: LeaseStore;
  applier: Applier;
  /** @throws NotFound */
  snapshotter: (name: string) => Snapshotter;
  /** Layers that are applied at the same time: as many as there are processors. */
  maxConcurrentUnpacks?: number;
  /** Layers of one image that are fetched at the same time, unless a pull says: 3. */
  maxConcurrentDownloads?: number;
  /** Objects that are sent at the same time, unless a push says: 3. */
  maxConcurrentUploads?: number;
  /** Bytes of the pieces in which larger layers are fetched, several side by side; 0: by one connection. */
  layerPiece?: number;
  /** Directories of hosts.toml files, for registries that a caller doesn't say more about: none. */
  hostDirectories?: readonly string[];
  /** Credentials for hosts that the caller has none for. */
  credentials?: CredentialsProvider;
  /** Each of them has to allow what is pulled; by their names. */
  verifiers?: ReadonlyMap<string, ImageVerifier>;
  /** Told of keys in hosts.toml files that mean nothing. */
  logger?: Logger;
}

/** Transfers between the stores of this process. One for all callers, so that they share what they fetch and unpack. */
export class LocalTransfer implements Transfer {
  #hostDirectories: readonly string[];
  readonly #credentials: CredentialsProvider | undefined;
  readonly #logger: Logger;
  readonly #dependencies: PullDependencies;
  #maxConcurrentDownloads: number;
  readonly #maxConcurrentUploads: number;
  readonly #layerPiece: number;

  constructor({
    maxConcurrentUnpacks = availableParallelism(),
    maxConcurrentDownloads = 3,
    maxConcurrentUploads = 3,
    layerPiece = 0,
    hostDirectories = [],
    credentials,
    verifiers = new Map(),
    logger = silent,
    ...stores
  }: LocalTransferOptions) {
    this.#hostDirectories = hostDirectories;
    this.#credentials = credentials;
    this.#logger = logger;
    this.#dependencies = {
      ...stores,
      verifiers,
      logger,
      locks: new KeyedLocks(),
      slots: new Slots(maxConcurrentUnpacks),
    };
    this.#maxConcurrentDownloads = maxConcurrentDownloads;
    this.#maxConcurrentUploads = maxConcurrentUploads;
    this.#layerPiece = layerPiece;
  }

  /** Changes what counts from the next transfer on. */
  reconfigure({
    hostDirectories,
    maxConcurrentDownloads,
  }: {
    hostDirectories: readonly string[];
    maxConcurrentDownloads: number;
  }): void {
    this.#hostDirectories = hostDirectories;
    this.#maxConcurrentDownloads = maxConcurrentDownloads;
  }

  registry({ hostDirectory, plainHttp, headers, credentials, dump, trace }: CallerRegistry = {}): Registry {
    const directories = hostDirectory === undefined ? this.#hostDirectories : [hostDirectory];
    const warn = (message: string): void => this.#logger.log("warn", message);
    const pieces = { piece: this.#layerPiece, connections: this.#maxConcurrentDownloads };
    const dumped = dump === undefined ? sendByFetch : withDump(sendByFetch, dump);
    return openRegistry({
      send: trace === undefined ? dumped : withTrace(dumped, trace),
      hosts: hostsFromDirectories(directories, { plainHttp, warn }),
      ...(pieces.piece === 0 ? {} : { pieces }),
      headers,
      credentials: async (host) => (await credentials?.(host)) ?? (await this.#credentials?.(host)),
    });
  }

  pull(ctx: Context, registry: Registry, reference: string, options: PullOptions = {}): Promise<Image> {
    return pullImage(ctx, this.#dependencies, registry, reference, {
      maxConcurrentDownloads: this.#maxConcurrentDownloads,
      ...options,
    });
  }

  import(ctx: Context, archive: AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<Image[]> {
    return importArchive(ctx, this.#dependencies, archive, options);
  }

  push(
    ctx: Context,
    registry: Registry,
    reference: string,
    target: Descriptor,
    options: PushOptions = {},
  ): Promise<void> {
    const { content } = this.#dependencies;
    const maxConcurrentUploads = this.#maxConcurrentUploads;
    return pushImage(ctx, { content, registry }, reference, target, { maxConcurrentUploads, ...options });
  }

  async *export(ctx: Context, names: readonly string[], options: ExportOptions = {}): AsyncGenerator<Uint8Array> {
    const { images, content } = this.#dependencies;
    const found = await Promise.all(names.map((name) => images.get(ctx, name)));
    yield* exportImages(ctx, content, found, options);
  }

  async unpack(ctx: Context, target: Descriptor, options: Parameters<Transfer["unpack"]>[2]): Promise<string> {
    const { content, leases } = this.#dependencies;
    const snapshotter = this.#dependencies.snapshotter(options.snapshotter);
    const { syncFs, platform = hostPlatform() }: UnpackOptions & typeof options = options;
    return withLease(ctx, leases, `unpack ${target.digest} ${crypto.randomUUID()}`, async (leased) => {
      const images = await walkImages(leased, target, { content, platforms: [platform] });
      using progress = new ProgressReporter(options.progress);
      let top = "";
      for (const image of images)
        top = await unpackImage(leased, this.#dependencies, { image, snapshotter, syncFs, progress });
      return top;
    });
  }
}
