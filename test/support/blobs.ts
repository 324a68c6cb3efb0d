import { ContentDefinition, WriteAction } from "@hull/api/gen/containerd/services/content/v1/content";
import type { Client } from "@hull/client/client";

/** Puts a text into the content store. @returns its digest */
export async function writeBlob(client: Client, text: string, labels: Record<string, string> = {}): Promise<string> {
  const data = Buffer.from(text);
  const total = BigInt(data.length);
  const requests = (async function* () {
    yield { action: WriteAction.COMMIT, ref: `blob-${Bun.hash(data)}`, total, data, labels };
  })();
  for await (const { digest } of client.service(ContentDefinition).write(requests)) return digest;
  throw new Error("a write was not answered");
}
