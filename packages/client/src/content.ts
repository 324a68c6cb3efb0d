import { ContentDefinition, WriteAction } from "@hull/api/gen/containerd/services/content/v1/content";
import { dataLoss, isCode } from "@hull/errors";
import { Digester } from "@hull/oci/digest";
import type { Client } from "./client.ts";

/** The bytes of a blob from `offset` on, as they come. @throws NotFound */
export async function* readContent(
  client: Client,
  digest: string,
  { offset = 0 }: { offset?: number } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const answers = client.service(ContentDefinition).read({ digest, offset: BigInt(offset), size: 0n });
  for await (const { data } of answers) yield data;
}

/** A whole blob of at most `limit` bytes. @throws NotFound; DataLoss if it is longer */
export async function readBlob(client: Client, digest: string, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of readContent(client, digest)) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > limit) throw dataLoss(`content "${digest}" is longer than the ${limit} bytes that it may have`);
  }
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  const blob = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    blob.set(chunk, at);
    at += chunk.length;
  }
  return blob;
}

/** Bytes in one message of a write. */
const writeChunk = 1024 * 1024;

/**
 * Stores bytes as a blob and gives what they turned out to be. What is there already is left as it is.
 * @param ref names the write while it goes on; an earlier one of that name is begun anew
 */
export async function writeContent(
  client: Client,
  ref: string,
  source: AsyncIterable<Uint8Array>,
  options: { labels?: Readonly<Record<string, string>> } = {},
): Promise<{ digest: string; size: number }> {
  const service = client.service(ContentDefinition);
  await service.abort({ ref }).catch((error: unknown) => {
    if (!isCode(error, "notFound")) throw error;
  });
  const digester = new Digester();
  let size = 0;
  async function* requests() {
    yield { action: WriteAction.STAT, ref };
    for await (const bytes of source) {
      for (let at = 0; at < bytes.length; at += writeChunk) {
        const data = bytes.subarray(at, at + writeChunk);
        digester.update(data);
        yield { action: WriteAction.WRITE, ref, offset: BigInt(size), data };
        size += data.length;
      }
    }
    const expected = digester.digest();
    yield { action: WriteAction.COMMIT, ref, offset: BigInt(size), expected, labels: { ...options.labels } };
  }
  try {
    for await (const _ of service.write(requests()));
  } catch (error) {
    await service.abort({ ref }).catch(() => {});
    if (!isCode(error, "alreadyExists")) throw error;
  }
  return { digest: digester.digest(), size };
}
