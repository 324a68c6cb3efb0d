import { ImageCreate, ImageDelete, ImageUpdate } from "@hull/api/gen/containerd/events/image";
import { nowNanos } from "@hull/api/timestamp";
import { encodeAny } from "@hull/api/typeurl";
import { alreadyExists, invalidArgument, notFound } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import type { Context } from "../context.ts";
import { gcLabels } from "../gc/labels.ts";
import { digestProblem } from "../metadata/digest-problem.ts";
import { imageAdaptor } from "../metadata/filters/adaptors.ts";
import { addToLease, ensureNamespace, requireNamespace } from "../metadata/index.ts";
import { updateMapField, validateLabels, withoutEmpty } from "../metadata/labels.ts";
import { bigintOf, labelsOf, listRecords, textOf } from "../metadata/rows.ts";
import type { SqlDatabase, SqlRow } from "../metadata/sql.ts";
import type { StoreOptions } from "../metadata/store-options.ts";
import type { Image, ImageInput, ImageStore } from "./index.ts";

/** Images in the metadata. What was created or updated survives a loss of power when the call returns. */
export class SqlImageStore implements ImageStore {
  readonly #options: StoreOptions;
  readonly #sql: SqlDatabase;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#sql = options.metadata.sql;
  }

  async get(ctx: Context, name: string): Promise<Image> {
    return this.#get(requireNamespace(ctx), name);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Image[]> {
    requireNamespace(ctx);
    return listRecords(
      this.#sql,
      ctx,
      { name: "images", key: "name", columns: imageColumns },
      imageOf,
      filters,
      imageAdaptor,
    );
  }

  async create(ctx: Context, input: ImageInput): Promise<Image> {
    const namespace = requireNamespace(ctx);
    const now = nowNanos();
    const createdAt = input.createdAt ?? now;
    const image = validated({
      name: input.name,
      labels: input.labels ?? {},
      target: input.target,
      createdAt,
      updatedAt: input.updatedAt ?? createdAt,
    });
    this.#options.metadata.write(() => {
      ensureNamespace(this.#sql, namespace);
      const added = this.#sql
        .prepare(
          `INSERT OR IGNORE INTO images (namespace, name, labels, target_digest, target_media_type, target_size, target, created_at, updated_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(namespace, image.name, ...cellsOf(image), image.createdAt, image.updatedAt);
      if (added === 0) throw alreadyExists(`image "${image.name}"`);
      // An image is a root of its own unless it expires.
      if (Object.hasOwn(image.labels, gcLabels.expire)) addToLease(this.#sql, ctx, "images", image.name);
    });
    await this.#options.metadata.durable();
    const { name, labels } = image;
    const event = encodeAny("containerd.services.images.v1.ImageCreate", ImageCreate, { name, labels });
    this.#options.events.publish(ctx, "/images/create", event);
    this.#options.collector?.changed("mutation");
    return image;
  }

  async update(ctx: Context, input: ImageInput, fieldpaths: readonly string[] = []): Promise<Image> {
    const namespace = requireNamespace(ctx);
    if (input.name === "") throw invalidArgument("Image.Name required");
    const image = this.#options.metadata.write(() => {
      const before = this.#get(namespace, input.name);
      const changed = (fieldpaths.length === 0 ? ["labels", "target"] : fieldpaths).reduce<Image>(
        (image, path) => withField(image, input, path),
        before,
      );
      const updated = validated({ ...changed, updatedAt: input.updatedAt ?? nowNanos() });
      this.#sql
        .prepare(
          `UPDATE images SET labels = ?, target_digest = ?, target_media_type = ?, target_size = ?, target = ?, updated_at = ?
           WHERE namespace = ? AND name = ?`,
        )
        .run(...cellsOf(updated), updated.updatedAt, namespace, updated.name);
      return updated;
    });
    await this.#options.metadata.durable();
    const { name, labels } = image;
    const event = encodeAny("containerd.services.images.v1.ImageUpdate", ImageUpdate, { name, labels });
    this.#options.events.publish(ctx, "/images/update", event);
    this.#options.collector?.changed("mutation");
    return image;
  }

  async delete(ctx: Context, name: string, options: { sync?: boolean; target?: Descriptor } = {}): Promise<void> {
    const namespace = requireNamespace(ctx);
    this.#options.metadata.write(() => {
      const { target } = this.#get(namespace, name);
      if (options.target !== undefined && options.target.digest !== target.digest) {
        throw notFound(`image "${name}" has target ${target.digest}, not ${options.target.digest}`);
      }
      this.#sql.prepare("DELETE FROM images WHERE namespace = ? AND name = ?").run(namespace, name);
    });
    const event = encodeAny("containerd.services.images.v1.ImageDelete", ImageDelete, { name });
    this.#options.events.publish(ctx, "/images/delete", event);
    this.#options.collector?.changed("deletion");
    if (options.sync) await this.#options.collector?.collect();
  }

  #get(namespace: string, name: string): Image {
    const row = this.#sql.prepare("SELECT * FROM images WHERE namespace = ? AND name = ?").get(namespace, name);
    if (row === undefined) throw notFound(`image "${name}"`);
    return imageOf(row);
  }
}

/** What `imageOf` looks at: the other columns say a part of the target once more, for queries. */
const imageColumns = "name, labels, target, created_at, updated_at";

function imageOf(row: SqlRow): Image {
  return {
    name: textOf(row.name),
    labels: labelsOf(row.labels),
    target: JSON.parse(textOf(row.target)) as Descriptor,
    createdAt: bigintOf(row.created_at),
    updatedAt: bigintOf(row.updated_at),
  };
}

function cellsOf({ labels, target }: Image) {
  return [JSON.stringify(labels), target.digest, target.mediaType, target.size, JSON.stringify(target)] as const;
}

function withField(image: Image, input: ImageInput, path: string): Image {
  if (path === "target") return { ...image, target: input.target };
  const labels = updateMapField("labels", path, image.labels, input.labels ?? {});
  if (labels !== undefined) return { ...image, labels };
  const annotations = updateMapField(
    "annotations",
    path,
    image.target.annotations ?? {},
    input.target.annotations ?? {},
  );
  if (annotations !== undefined) return { ...image, target: { ...image.target, annotations: { ...annotations } } };
  throw invalidArgument(`cannot update "${path}" field on image "${image.name}"`);
}

/** The image without empty labels and annotations. @throws InvalidArgument */
function validated(image: Image): Image {
  const { target } = image;
  if (image.name === "") throw invalidArgument("Image.Name required");
  validateLabels(image.labels, "image.Labels");
  const problem = digestProblem(target.digest);
  if (problem !== undefined) throw invalidArgument(`Target.Digest "${target.digest}" invalid: ${problem}`);
  if (!(target.size > 0)) throw invalidArgument("Target.Size must be greater than zero");
  if (target.mediaType === "") throw invalidArgument("Target.MediaType must be set");
  const annotations = withoutEmpty(target.annotations ?? {});
  return {
    ...image,
    labels: withoutEmpty(image.labels),
    target: { ...target, annotations: Object.keys(annotations).length === 0 ? undefined : annotations },
  };
}
