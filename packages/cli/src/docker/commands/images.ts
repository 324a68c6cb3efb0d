import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Client } from "@hull/client/client";
import { getImage, type Image, type PlatformImage, platformImage } from "@hull/client/images";
import { readShared } from "@hull/client/io/pump";
import { importImages } from "@hull/client/transfer";
import { failedPrecondition, HullError, invalidArgument, isCode } from "@hull/errors";
import { chainIds } from "@hull/oci/digest";
import { hostPlatform } from "@hull/oci/platform";
import { findImages, fullName, listImages, nameOf, needArguments, repositoryAndTag } from "../find.ts";
import { formatAgo, formatSize } from "../format.ts";
import type { Call } from "../globals.ts";
import { type Column, printRows, type Row } from "../listing.ts";
import { interrupted, pull as pullReference } from "../pull.ts";
import { explain, openSession } from "../session.ts";

/** `hull pull IMAGE…` */
export async function pull(call: Call<{ quiet: boolean; "plain-http": boolean }>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "an image is");
  const references = args.map(fullName);
  await using client = await openSession(call);
  for (const reference of references) {
    const request = {
      client,
      host,
      snapshotter: globals.snapshotter,
      plainHttp: flags["plain-http"],
      quiet: flags.quiet,
    };
    try {
      await pullReference(request, reference);
    } catch (error) {
      if (!isCode(error, "canceled")) throw error;
      host.err(`hull: ${explain(error, globals)}\n`);
      return interrupted;
    }
    await host.out(`${reference}\n`);
  }
  return 0;
}

/** `hull images [NAME]` */
export async function images(
  call: Call<{ quiet: boolean; "no-trunc": boolean; all: boolean; digests: boolean; format: string | undefined }>,
): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 0, 1, "");
  await using client = await openSession(call);
  const wanted = args[0] === undefined ? undefined : fullName(args[0]);
  const all = (await listImages(client))
    .filter(({ name }) => wanted === undefined || name === wanted || repositoryAndTag(name).repository === args[0])
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const idOf = ({ target }: Image): string =>
    flags["no-trunc"] ? target.digest : target.digest.replace(/^sha256:/, "").slice(0, 12);
  if (flags.quiet) {
    for (const id of new Set(all.map(idOf))) await host.out(`${id}\n`);
    return 0;
  }
  const sizes = new SnapshotSizes(client, globals.snapshotter);
  const rows = await Promise.all(
    all.map(async (image): Promise<Row> => {
      const { repository, tag } = repositoryAndTag(image.name);
      const found = await platformImage(client, image.target).catch((error: unknown) => {
        // Nothing of it is for this machine, or some of it is missing: the record is there all the same.
        if (isCode(error, "notFound")) return undefined;
        throw error;
      });
      const created = found?.config.created === undefined ? image.createdAt : new Date(found.config.created);
      const size = found === undefined ? "-" : formatSize(await sizes.of(found));
      const labels = Object.entries(image.labels).map(([key, value]) => `${key}=${value}`);
      return {
        Repository: repository,
        Tag: tag,
        Digest: image.target.digest,
        ID: idOf(image),
        CreatedSince: formatAgo(created),
        CreatedAt: created === undefined ? "" : `${created.toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`,
        Size: size,
        Labels: labels.join(","),
      };
    }),
  );
  const columns: readonly Column[] = [
    ["REPOSITORY", "Repository"],
    ["TAG", "Tag"],
    ...(flags.digests ? [["DIGEST", "Digest"] as const] : []),
    ["IMAGE ID", "ID"],
    ["CREATED", "CreatedSince"],
    ["SIZE", "Size"],
  ];
  await printRows(host, rows, { format: flags.format, columns });
  return 0;
}

/** How much disk images take when unpacked. */
class SnapshotSizes {
  readonly #client: Client;
  readonly #snapshotter: string;
  readonly #known = new Map<string, Promise<number>>();

  constructor(client: Client, snapshotter: string) {
    this.#client = client;
    this.#snapshotter = snapshotter;
  }

  /** Bytes of all layers; of the content where they aren't unpacked. */
  async of({ manifest, config }: PlatformImage): Promise<number> {
    const sizes = await Promise.all(chainIds(config.diffIds).map((key) => this.#usage(key)));
    const unpacked = sizes.reduce((sum, size) => sum + size, 0);
    return unpacked > 0 ? unpacked : manifest.layers.reduce((sum, { size }) => sum + size, 0);
  }

  #usage(key: string): Promise<number> {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const asked = this.#ask(key);
    this.#known.set(key, asked);
    return asked;
  }

  async #ask(key: string): Promise<number> {
    try {
      const { size } = await this.#client.service(SnapshotsDefinition).usage({ snapshotter: this.#snapshotter, key });
      return Number(size);
    } catch (error) {
      if (isCode(error, "notFound")) return 0;
      throw error;
    }
  }
}

/** `hull rmi IMAGE…` */
export async function rmi(call: Call<{ force: boolean }>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "an image is");
  await using client = await openSession(call);
  let status = 0;
  for (const text of args) {
    try {
      await removeImages(client, text, flags.force, (line) => host.out(`${line}\n`));
    } catch (error) {
      host.err(`hull: ${explain(error, globals)}\n`);
      status = 1;
    }
  }
  return status;
}

async function removeImages(
  client: Client,
  text: string,
  force: boolean,
  say: (line: string) => Promise<void>,
): Promise<void> {
  const found = await findImages(client, text);
  const names = found.map(({ name }) => name);
  if (found.length > 1 && !force)
    throw failedPrecondition(
      `image "${text}" has several names (${names.join(", ")}): remove one of them, or all with -f`,
    );
  const { containers } = await client.service(ContainersDefinition).list({});
  const user = containers.find(({ image }) => names.includes(image));
  if (user !== undefined && !force)
    throw failedPrecondition(
      `image "${text}" is used by container "${nameOf(user)}": remove that first (hull rm ${nameOf(user)}), or force it with -f`,
    );
  for (const { name, target } of found) {
    await client.service(ImagesDefinition).delete({ name, sync: true });
    await say(`Untagged: ${name}`);
    if (!(await hasContent(client, target.digest))) await say(`Deleted: ${target.digest}`);
  }
}

async function hasContent(client: Client, digest: string): Promise<boolean> {
  try {
    await client.service(ContentDefinition).info({ digest });
    return true;
  } catch (error) {
    if (isCode(error, "notFound")) return false;
    throw error;
  }
}

/** `hull tag SOURCE TARGET` */
export async function tag(call: Call): Promise<number> {
  needArguments(call.args, 2, 2, "an image and its new name are");
  const [source = "", target = ""] = call.args;
  const name = fullName(target);
  await using client = await openSession(call);
  const [image] = await findImages(client, source);
  if (image === undefined) return 1;
  const record = { name, target: { ...image.target, annotations: {} }, labels: { ...image.labels } };
  const service = client.service(ImagesDefinition);
  try {
    await service.create({ image: record });
  } catch (error) {
    if (!isCode(error, "alreadyExists")) throw error;
    await service.update({ image: record, updateMask: ["target"] });
  }
  return 0;
}

/** `hull load [-i FILE]` */
export async function load(call: Call<{ input: string | undefined; quiet: boolean }>): Promise<number> {
  const { flags, globals, host } = call;
  needArguments(call.args, 0, 0, "");
  if (flags.input === undefined && process.stdin.isTTY)
    throw invalidArgument("an archive is needed: give a file with -i, or send one to the standard input");
  const archive = flags.input === undefined ? readShared(0) : await openArchive(flags.input);
  await using client = await openSession(call);
  const names = await importImages(client, archive, { platforms: [hostPlatform()], unpack: globals.snapshotter });
  for (const name of new Set(names)) {
    const { target } = await getImage(client, name);
    await host.out(flags.quiet ? `${target.digest}\n` : `Loaded image: ${name}\n`);
  }
  return 0;
}

async function openArchive(path: string): Promise<AsyncIterable<Uint8Array>> {
  const { open } = await import("node:fs/promises");
  try {
    const file = await open(path, "r");
    return file.createReadStream({ highWaterMark: 1024 * 1024 });
  } catch (error) {
    throw invalidArgument(`archive "${path}" can't be opened: ${HullError.from(error).message}`, { cause: error });
  }
}
