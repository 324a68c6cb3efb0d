import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { invalidArgument, isCode, notFound } from "@hull/errors";
import type { Descriptor, Platform } from "@hull/oci/descriptor";
import type { ImageConfig } from "@hull/oci/manifest";
import { hostPlatform } from "@hull/oci/platform";
import { formatReference, normalizeReference } from "@hull/oci/reference";
import type { Client } from "../client.ts";
import {
  fromWireDescriptor,
  getImage,
  type Image as ImageRecord,
  isUnpacked,
  type PlatformImage,
  platformImage,
  toWireDescriptor,
} from "../images.ts";
import { withLease } from "../lease.ts";
import {
  exportImages,
  importImages,
  pullImage,
  pushImage,
  type TransferCredentials,
  type TransferProgress,
} from "../transfer.ts";
import { unpackImage } from "../unpack.ts";

export interface TransferLimits {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TransferProgress) => void;
}

export interface RegistryAccess {
  /** Over HTTP without TLS. */
  readonly plainHttp?: boolean;
  readonly credentials?: TransferCredentials | ((host: string) => Promise<TransferCredentials | undefined>);
  /** Directory of `hosts.toml` files on the daemon's host. */
  readonly hostDirectory?: string;
}

export interface PullOptions extends TransferLimits, RegistryAccess {
  /** This host's unless told. */
  readonly platform?: Platform;
  /** `overlayfs` unless told. */
  readonly snapshotter?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ImportOptions extends TransferLimits {
  /**
   * What images are called that the archive gives no full name: with `my/app` one that has the tag `v1` there is `docker.io/my/app:v1`, and one
   * without any is `docker.io/my/app@sha256:…`. `localhost/imported` unless told.
   */
  readonly name?: string;
  /** `overlayfs` unless told. */
  readonly snapshotter?: string;
}

const defaultSnapshotter = "overlayfs";

/** The images of a namespace. */
export class Images {
  readonly #client: Client;
  readonly #known = new KnownImages();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Those that match any of the filters; all without one. */
  async list(...filters: string[]): Promise<Image[]> {
    const { images } = await this.#client.service(ImagesDefinition).list({ filters });
    return images.flatMap(({ name, target, labels }) =>
      target === undefined ? [] : [this.#image({ name, target: fromWireDescriptor(target), labels })],
    );
  }

  /** @throws NotFound */
  async get(reference: string): Promise<Image> {
    const name = fullName(reference);
    try {
      return this.#image(await getImage(this.#client, name));
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
      throw notFound(`image "${name}" is not here: pull it, or import it`, { cause: error });
    }
  }

  #image(record: ImageRecord): Image {
    return new Image(this.#client, record, this.#known);
  }

  /** Undefined if there is none. */
  async find(reference: string): Promise<Image | undefined> {
    try {
      return await this.get(reference);
    } catch (error) {
      if (isCode(error, "notFound")) return undefined;
      throw error;
    }
  }

  /** Fetches an image and unpacks it. @throws NotFound, Unauthenticated, Unavailable from the registry */
  async pull(reference: string, options: PullOptions = {}): Promise<Image> {
    const { platform = hostPlatform(), snapshotter = defaultSnapshotter, ...rest } = options;
    const name = fullName(reference);
    const wish = { ...rest, platforms: [platform], unpack: snapshotter };
    await orHere(
      this.#client,
      () => keepingStreams(this.#client, (leased) => pullImage(leased, name, wish)),
      async () => await (await import("./here.ts")).pullHere(this.#client, name, wish),
    );
    return await this.get(name);
  }

  /** Reads an archive (an OCI layout, or of `docker save`), and unpacks what is for this host. All of its images get a name. */
  async import(archive: AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<Image[]> {
    const { name = "localhost/imported", snapshotter = defaultSnapshotter, ...limits } = options;
    const names = await this.#importNames(archive, {
      ...limits,
      // containerd leaves out what no base name was given for.
      baseName: familyOf(name),
      digests: true,
      skipDigestForNamed: true,
      platforms: [hostPlatform()],
      unpack: snapshotter,
    });
    return await Promise.all(names.map(async (one) => this.#image(await getImage(this.#client, one))));
  }

  async #importNames(archive: AsyncIterable<Uint8Array>, wish: ImportWish): Promise<string[]> {
    // Which of the two ways it goes has to be known before: an archive may come only once.
    if (await hasTransfer(this.#client))
      return await keepingStreams(this.#client, (leased) => importImages(leased, archive, wish));
    return await (await import("./here.ts")).importHere(this.#client, archive, wish);
  }

  /** Images as one archive, which `docker load` takes. */
  export(references: readonly string[], options: TransferLimits = {}): AsyncIterable<Uint8Array> {
    return exportAny(this.#client, references.map(fullName), options);
  }
}

/** How many images' manifests and configs are kept in memory. */
const mostKnown = 32;

/** What has been read of images. It never changes: its name is its digest. */
class KnownImages {
  readonly #images = new Map<string, Promise<PlatformImage>>();

  get({ digest }: Descriptor, platform: Platform, read: () => Promise<PlatformImage>): Promise<PlatformImage> {
    const key = JSON.stringify([digest, platform]);
    const known = this.#images.get(key);
    if (known !== undefined) return known;
    const image = read();
    this.#images.set(key, image);
    const [oldest] = this.#images.keys();
    if (this.#images.size > mostKnown && oldest !== undefined) this.#images.delete(oldest);
    // What isn't here may come.
    image.catch(() => this.#images.delete(key));
    return image;
  }
}

/** An image's record. */
export class Image implements ImageRecord {
  readonly name: string;
  readonly target: Descriptor;
  readonly labels: Readonly<Record<string, string>>;
  readonly #client: Client;
  readonly #known: KnownImages;

  constructor(client: Client, { name, target, labels }: ImageRecord, known = new KnownImages()) {
    this.#client = client;
    this.#known = known;
    this.name = name;
    this.target = target;
    this.labels = labels;
  }

  /** `sha256:…` of its index or manifest. */
  get digest(): string {
    return this.target.digest;
  }

  /** What of it is for a platform, this host's unless told. @throws NotFound if there is nothing */
  async forPlatform(platform: Platform = hostPlatform()): Promise<PlatformImage> {
    return await this.#known.get(this.target, platform, () => platformImage(this.#client, this.target, platform));
  }

  /** What it runs, and how, on a platform. */
  async config(platform?: Platform): Promise<ImageConfig> {
    return (await this.forPlatform(platform)).config;
  }

  /** Sees to it that its layers are there as snapshots. */
  async unpack({
    snapshotter = defaultSnapshotter,
    platform,
  }: {
    snapshotter?: string;
    platform?: Platform;
  } = {}): Promise<void> {
    const image = await this.forPlatform(platform);
    if (!(await isUnpacked(this.#client, image, snapshotter))) await unpackImage(this.#client, image, { snapshotter });
  }

  /** Gives it another name, in place of what is called so. */
  async tag(reference: string): Promise<Image> {
    const image = { name: fullName(reference), labels: {}, target: toWireDescriptor(this.target) };
    const images = this.#client.service(ImagesDefinition);
    try {
      await images.create({ image });
    } catch (error) {
      if (!isCode(error, "alreadyExists")) throw error;
      await images.update({ image });
    }
    return new Image(this.#client, { ...image, target: this.target }, this.#known);
  }

  /** Uploads it, under its own name unless told. */
  async push(options: TransferLimits & RegistryAccess & { readonly reference?: string } = {}): Promise<void> {
    const { reference = this.name, ...rest } = options;
    const [name, wish] = [fullName(reference), { ...rest, image: this.name }];
    await orHere(
      this.#client,
      () => pushImage(this.#client, name, wish),
      async () => await (await import("./here.ts")).pushHere(this.#client, name, wish),
    );
  }

  /** As an archive, which `docker load` takes. */
  export(options: TransferLimits = {}): AsyncIterable<Uint8Array> {
    return exportAny(this.#client, [this.name], options);
  }

  /** Takes the record away, and its content when nothing else refers to it: before this resolves, if `sync`. @throws NotFound */
  async remove({ sync = false } = {}): Promise<void> {
    await this.#client.service(ImagesDefinition).delete({ name: this.name, sync });
  }
}

/** `busybox` becomes `docker.io/library/busybox:latest`. @throws InvalidArgument */
export function fullName(reference: string): string {
  return formatReference(normalizeReference(reference));
}

/** `busybox` becomes `docker.io/library/busybox`, for tags and digests to follow. @throws InvalidArgument if it has one */
function familyOf(name: string): string {
  if (/[:@][^/]*$/.test(name))
    throw invalidArgument(`the name "${name}" of imported images must have no tag and no digest: images bring theirs`);
  const { domain, path } = normalizeReference(name);
  return `${domain}/${path}`;
}

/** The image to run. @throws NotFound if it isn't here and mustn't be fetched */
export async function imageToRun(
  images: Images,
  image: string | Image,
  { pull, ...options }: PullOptions & { readonly pull: "missing" | "always" | "never" },
): Promise<Image> {
  if (image instanceof Image) return image;
  const found = pull === "always" ? undefined : await images.find(image);
  if (found !== undefined) return found;
  if (pull === "never") throw notFound(`image "${fullName(image)}" is not here, and "pull" is "never"`);
  return await images.pull(image, options);
}

/**
 * Transfers under a lease of ours, though the daemon takes one itself: containerd's collector ends streams that no lease keeps, if they are in
 * a namespace that isn't known yet, and it runs soon after the start.
 */
const keepingStreams = withLease;

/** What the daemon can't, having no transfer service, is done by this program. */
async function orHere(client: Client, byDaemon: () => Promise<void>, here: () => Promise<void>): Promise<void> {
  await ((await hasTransfer(client)) ? byDaemon() : here());
}

async function* exportAny(
  client: Client,
  names: readonly string[],
  options: TransferLimits,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (await hasTransfer(client)) yield* exportImages(client, names, options);
  else yield* (await import("./here.ts")).exportHere(client, names, options);
}

type ImportWish = Parameters<typeof importImages>[2] & object;

/** containerd has the service since version 2.0. */
async function hasTransfer(client: Client): Promise<boolean> {
  const filters = ["type==io.containerd.transfer.v1"];
  const { plugins } = await client.service(IntrospectionDefinition).plugins({ filters });
  return plugins.some(({ initErr }) => initErr === undefined);
}
