/**
 * Pulling, pushing, importing and exporting by this program, for daemons without the transfer service (containerd before 2.0): the engine's own way, on stores
 * that are the daemon's.
 */

import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import type { ContentInfo, ContentStore, ContentWriter as StoreWriter } from "@hull/engine/content/index";
import { type Context, contextFor } from "@hull/engine/context";
import type { ImageStore } from "@hull/engine/images/index";
import type { LeaseStore } from "@hull/engine/leases/index";
import { silent } from "@hull/engine/log";
import { defaultHosts, hostsFromDirectories, openRegistry, type Registry } from "@hull/engine/registry/index";
import { exportImages } from "@hull/engine/transfer/export";
import { importArchive } from "@hull/engine/transfer/import";
import type { ProgressListener } from "@hull/engine/transfer/index";
import { KeyedLocks, Slots } from "@hull/engine/transfer/locks";
import { type PullDependencies, pullImage } from "@hull/engine/transfer/pull";
import { pushImage } from "@hull/engine/transfer/push";
import { unimplemented } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import type { Client } from "../client.ts";
import { ContentWriter } from "../content-writer.ts";
import { fromWireDescriptor, getImage, platformImage, toWireDescriptor } from "../images.ts";
import type { ExportOptions, ImportOptions, PullOptions, PushOptions, TransferProgress } from "../transfer.ts";
import { unpackImage } from "../unpack.ts";

/** As `pullImage` of `../transfer.ts`. */
export async function pullHere(client: Client, reference: string, options: PullOptions): Promise<void> {
  const { platforms = [], unpack, labels = {}, signal, onProgress } = options;
  await pullImage(contextOf(client, signal), dependenciesOf(client), registryOf(options), reference, {
    platforms: platforms.length === 0 ? "all" : platforms,
    labels: { ...labels },
    progress: listener(onProgress),
  });
  if (unpack !== undefined) await unpackAll(client, [reference], platforms, unpack);
}

/** As `pushImage` of `../transfer.ts`. */
export async function pushHere(
  client: Client,
  reference: string,
  { image, ...options }: PushOptions & { image: string },
): Promise<void> {
  const { target } = await getImage(client, image);
  const dependencies = { content: contentOf(client), registry: registryOf(options) };
  const progress = listener(options.onProgress);
  await pushImage(contextOf(client, options.signal), dependencies, reference, target, { progress });
}

/** As `exportImages` of `../transfer.ts`. */
export async function* exportHere(
  client: Client,
  names: readonly string[],
  { signal }: Pick<ExportOptions, "signal">,
): AsyncGenerator<Uint8Array, void, undefined> {
  const images = await Promise.all(names.map((name) => getImage(client, name)));
  yield* exportImages(contextOf(client, signal), contentOf(client), images, {});
}

function registryOf({
  credentials,
  hostDirectory,
  plainHttp = false,
}: Pick<PullOptions, "credentials" | "hostDirectory" | "plainHttp">): Registry {
  return openRegistry({
    hosts:
      hostDirectory === undefined ? defaultHosts({ plainHttp }) : hostsFromDirectories([hostDirectory], { plainHttp }),
    credentials: async (host) => {
      const own = typeof credentials === "function" ? await credentials(host) : credentials;
      return own !== undefined && "refreshToken" in own ? { identityToken: own.refreshToken } : own;
    },
  });
}

/** As `importImages` of `../transfer.ts`. */
export async function importHere(
  client: Client,
  archive: AsyncIterable<Uint8Array>,
  { platforms = [], unpack, labels = {}, signal, digests = false, onProgress, ...options }: ImportOptions,
): Promise<string[]> {
  const { baseName } = options;
  const images = await importArchive(contextOf(client, signal), dependenciesOf(client), archive, {
    ...options,
    ...(digests && baseName !== undefined ? { digestPrefix: baseName } : {}),
    platforms: platforms.length === 0 ? "all" : platforms,
    labels: { ...labels },
    progress: listener(onProgress),
  });
  const names = images.map(({ name }) => name);
  if (unpack !== undefined) await unpackAll(client, names, platforms, unpack);
  return names;
}

async function unpackAll(
  client: Client,
  names: readonly string[],
  [platform]: readonly Platform[],
  snapshotter: string,
): Promise<void> {
  for (const name of names) {
    const { target } = await getImage(client, name);
    await unpackImage(client, await platformImage(client, target, platform), { snapshotter });
  }
}

const contextOf = ({ namespace }: Client, signal: AbortSignal | undefined): Context =>
  contextFor(namespace, signal === undefined ? {} : { signal });

const listener =
  (onProgress: ((progress: TransferProgress) => void) | undefined): ProgressListener =>
  ({ event, name, parents = [], progress = 0, total = 0 }) =>
    onProgress?.({ event, name, parents, progress, total });

function dependenciesOf(client: Client): PullDependencies {
  const refused = (): never => {
    throw unimplemented("layers are unpacked by the daemon");
  };
  return {
    content: contentOf(client),
    images: imagesOf(client),
    leases: leasesOf(client),
    snapshotter: refused,
    applier: { apply: refused },
    locks: new KeyedLocks(),
    slots: new Slots(1),
    verifiers: new Map(),
    logger: silent,
  };
}

/** The client under the lease that a call is to be under. */
const under = (client: Client, { lease }: Context): Client =>
  lease === undefined ? client : client.withLeaseId(lease);

/** The part of the content store that transfers use, at the daemon. */
function contentOf(client: Client): ContentStore {
  const service = (ctx: Context) => under(client, ctx).service(ContentDefinition);
  const refused = (): never => {
    throw unimplemented("not part of a transfer");
  };
  const infoOf = (info: { digest: string; size: bigint; labels: Record<string, string> } | undefined): ContentInfo => ({
    digest: info?.digest ?? "",
    size: Number(info?.size ?? 0n),
    labels: info?.labels ?? {},
    createdAt: 0n,
    updatedAt: 0n,
  });
  return {
    async info(ctx, digest) {
      return infoOf((await service(ctx).info({ digest })).info);
    },
    async update(ctx, digest, labels, fieldpaths = []) {
      const request = { info: { digest, labels: { ...labels } }, updateMask: [...fieldpaths] };
      return infoOf((await service(ctx).update(request)).info);
    },
    async *read(ctx, digest, { offset = 0, size = 0 } = {}) {
      for await (const { data } of service(ctx).read({ digest, offset: BigInt(offset), size: BigInt(size) }))
        yield data;
    },
    async writer(ctx, ref, expectation) {
      return storeWriter(await ContentWriter.open(service(ctx), ref, expectation));
    },
    async abort(ctx, ref) {
      await service(ctx).abort({ ref });
    },
    walk: refused,
    delete: refused,
    path: refused,
    status: refused,
    listStatuses: refused,
  };
}

function storeWriter(writer: ContentWriter): StoreWriter {
  return {
    ref: writer.ref,
    get offset() {
      return writer.offset;
    },
    status: () => ({ ref: writer.ref, expected: "", ...writer.status }),
    digest: () => writer.digest,
    write: (bytes) => writer.write(bytes),
    truncate: () => writer.clear(),
    async commit(expectation = {}) {
      const { offset } = writer;
      return { digest: await writer.commit(expectation), size: offset };
    },
    close: () => writer.close(),
    [Symbol.asyncDispose]: () => writer.close(),
  };
}

function imagesOf(client: Client): ImageStore {
  const service = (ctx: Context) => under(client, ctx).service(ImagesDefinition);
  type Wire = Awaited<ReturnType<ReturnType<typeof service>["get"]>>["image"];
  const imageOf = (image: Wire) => {
    if (image?.target === undefined) throw unimplemented("the record of an image came without its target");
    const { name, labels, target, createdAt, updatedAt } = image;
    const times = { createdAt: nanosOfTimestamp(createdAt) ?? 0n, updatedAt: nanosOfTimestamp(updatedAt) ?? 0n };
    return { name, labels, target: fromWireDescriptor(target), ...times };
  };
  return {
    async get(ctx, name) {
      return imageOf((await service(ctx).get({ name })).image);
    },
    async list(ctx, filters = []) {
      return (await service(ctx).list({ filters: [...filters] })).images.map(imageOf);
    },
    async create(ctx, { name, labels = {}, target }) {
      const image = { name, labels: { ...labels }, target: toWireDescriptor(target) };
      return imageOf((await service(ctx).create({ image })).image);
    },
    async update(ctx, { name, labels = {}, target }, fieldpaths = []) {
      const image = { name, labels: { ...labels }, target: toWireDescriptor(target) };
      return imageOf((await service(ctx).update({ image, updateMask: [...fieldpaths] })).image);
    },
    async delete(ctx, name, { sync = false } = {}) {
      await service(ctx).delete({ name, sync });
    },
  };
}

function leasesOf(client: Client): LeaseStore {
  const service = () => client.service(LeasesDefinition);
  const leaseOf = (lease: { id: string; labels: Record<string, string> } | undefined) => ({
    id: lease?.id ?? "",
    labels: lease?.labels ?? {},
    createdAt: 0n,
  });
  return {
    async create(_, id, labels) {
      return leaseOf((await service().create({ id, labels: { ...labels } })).lease);
    },
    async delete(_, id, { sync = false } = {}) {
      await service().delete({ id, sync });
    },
    async list(_, filters = []) {
      return (await service().list({ filters: [...filters] })).leases.map(leaseOf);
    },
    async addResource(_, id, resource) {
      await service().addResource({ id, resource });
    },
    async deleteResource(_, id, resource) {
      await service().deleteResource({ id, resource });
    },
    async listResources(_, id) {
      return (await service().listResources({ id })).resources;
    },
  };
}
