import { HullError, invalidArgument, isCode } from "@hull/errors";
import { type Descriptor, digestOf, ingestRef, parseDigest } from "@hull/oci";
import type { ContentStore, ContentWriter } from "../content/index.ts";
import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";
import { wait } from "../registry/retry.ts";

/** Gives the blob's bytes from `offset` on. */
export type OpenSource = (offset: number) => Promise<AsyncIterable<Uint8Array>>;

export interface StoreBlobOptions {
  content: ContentStore;
  descriptor: Descriptor;
  source: OpenSource;
  labels?: Labels;
  progress?: (bytes: number) => void;
}

const lockedPause = 200;

/**
 * Brings a blob into the content store, going on where an earlier try stopped. What an earlier try left and proves wrong is fetched once
 * more from the start; bytes that come wrong now are dropped.
 * @returns false if the blob was here already
 * @throws InvalidArgument if the source's bytes aren't those that the descriptor names
 */
export async function storeBlob(ctx: Context, options: StoreBlobOptions): Promise<boolean> {
  const { content, descriptor } = options;
  const ref = ingestRef(descriptor);
  for (;;) {
    const writer = await openWriter(ctx, content, ref, descriptor);
    if (writer === undefined) {
      await addLabels(ctx, content, descriptor.digest, options.labels ?? {});
      return false;
    }
    const resumed = writer.offset > 0;
    try {
      return await write(ctx, writer, options);
    } catch (error) {
      await writer.close();
      if (!isCode(error, "failedPrecondition") && !isCode(error, "invalidArgument")) throw error;
      await content.abort(ctx, ref).catch(() => undefined);
      if (!resumed || ctx.signal.aborted)
        throw invalidArgument(
          `blob "${descriptor.digest}" did not come as its ${descriptor.size} bytes: ${error.message}`,
          {
            cause: error,
          },
        );
    }
  }
}

async function openWriter(
  ctx: Context,
  content: ContentStore,
  ref: string,
  { digest, size }: Descriptor,
): Promise<ContentWriter | undefined> {
  for (;;) {
    try {
      return await content.writer(ctx, ref, { total: size, expected: digest });
    } catch (error) {
      if (isCode(error, "alreadyExists")) return undefined;
      // A client writes this blob now, by the same convention for the ref. The store has no event for the end of that.
      if (!isCode(error, "unavailable")) throw error;
      await wait(lockedPause, ctx.signal);
    }
  }
}

async function write(ctx: Context, writer: ContentWriter, options: StoreBlobOptions): Promise<boolean> {
  const { descriptor, source, labels, progress } = options;
  if (writer.offset > descriptor.size) await writer.truncate(0);
  let at = writer.offset;
  if (at < descriptor.size) {
    for await (const chunk of await source(at)) {
      if (ctx.signal.aborted) throw HullError.from(ctx.signal.reason);
      await writer.write(chunk);
      at += chunk.length;
      progress?.(at);
    }
  }
  try {
    await writer.commit({ size: descriptor.size, expected: descriptor.digest, labels });
    return true;
  } catch (error) {
    if (!isCode(error, "alreadyExists")) throw error;
    await addLabels(ctx, options.content, descriptor.digest, labels ?? {});
    return false;
  }
}

/** Sets some labels of a blob and leaves its others alone. */
export async function addLabels(ctx: Context, content: ContentStore, digest: string, labels: Labels): Promise<void> {
  const keys = Object.keys(labels);
  if (keys.length === 0) return;
  const { labels: present } = await content.info(ctx, digest);
  const changed = keys.filter((key) => present[key] !== labels[key]);
  if (changed.length > 0)
    await content.update(
      ctx,
      digest,
      labels,
      changed.map((key) => `labels.${key}`),
    );
}

/** @throws InvalidArgument if a blob that is here has another size than its descriptor says; NotFound */
export async function requireSize(
  ctx: Context,
  content: ContentStore,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
): Promise<void> {
  const { size: actual } = await content.info(ctx, digest);
  if (actual !== size)
    throw invalidArgument(`blob "${digest}" has ${actual} bytes, but is referred to as having a size of ${size}`);
}

/**
 * Reads a small blob whole and checks its size and digest.
 * @throws InvalidArgument if it has more than `limit` bytes, or isn't what the descriptor says; NotFound
 */
export async function readBlob(
  ctx: Context,
  content: ContentStore,
  descriptor: Pick<Descriptor, "digest" | "size">,
  limit: number,
): Promise<Uint8Array> {
  const { size } = await content.info(ctx, descriptor.digest);
  if (size > limit)
    throw invalidArgument(`blob "${descriptor.digest}" has ${size} bytes: at most ${limit} are allowed here`);
  await requireSize(ctx, content, descriptor);
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.read(ctx, descriptor.digest)) chunks.push(Buffer.from(chunk));
  const bytes = Buffer.concat(chunks);
  if (digestOf(bytes, parseDigest(descriptor.digest).algorithm) !== descriptor.digest)
    throw invalidArgument(`blob "${descriptor.digest}" in the content store is damaged: delete and fetch it again`);
  return bytes;
}
