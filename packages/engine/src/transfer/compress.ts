import { Readable } from "node:stream";
import { createGzip } from "node:zlib";
import { isCode } from "@hull/errors";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";

/** The label by which a compressed layer says what it is uncompressed. */
const uncompressedLabel = "containerd.io/uncompressed";

/** Makes a gzip blob of an uncompressed layer. The threads of the runtime compress, not the event loop. */
export async function compressLayer(
  ctx: Context,
  content: ContentStore,
  digest: string,
): Promise<{ digest: string; size: number }> {
  const ref = `compress-${digest}`;
  await using writer = await content.writer(ctx, ref);
  if (writer.offset > 0) await writer.truncate(0);
  const gzip = createGzip();
  const source = Readable.from(content.read(ctx, digest), { objectMode: false });
  source.on("error", (error) => gzip.destroy(error));
  for await (const chunk of source.pipe(gzip) as AsyncIterable<Uint8Array>) await writer.write(chunk);
  const result = { digest: writer.digest(), size: writer.offset };
  try {
    await writer.commit({ labels: { [uncompressedLabel]: digest } });
  } catch (error) {
    if (!isCode(error, "alreadyExists")) throw error;
    await content.abort(ctx, ref).catch(() => undefined);
  }
  return result;
}
