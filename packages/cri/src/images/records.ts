import type { Context } from "@hull/engine/context";
import type { Image, ImageStore } from "@hull/engine/images/index";
import type { Labels } from "@hull/engine/labels";
import { recordImage } from "@hull/engine/transfer/pull";
import { isCode } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";

/** A record that leads to an image, and the labels that it needs; others that it has stay. */
export interface WantedRecord {
  readonly name: string;
  readonly target: Descriptor;
  readonly labels: Labels;
}

/** Sees to it that there is such a record. One that says all of it already is left alone, and nobody is told of an update. */
export async function ensureRecord(ctx: Context, images: ImageStore, wanted: WantedRecord): Promise<void> {
  const present = await recordOf(ctx, images, wanted.name);
  const { target, labels } = wanted;
  const isRight =
    present?.target.digest === target.digest &&
    Object.entries(labels).every(([key, value]) => present.labels[key] === value);
  if (!isRight) await recordImage(ctx, images, wanted);
}

/** Undefined if there is none of that name. */
export async function recordOf(ctx: Context, images: ImageStore, name: string): Promise<Image | undefined> {
  try {
    return await images.get(ctx, name);
  } catch (error) {
    if (isCode(error, "notFound")) return undefined;
    throw error;
  }
}
