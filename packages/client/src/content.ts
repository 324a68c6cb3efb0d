import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { dataLoss } from "@hull/errors";
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
