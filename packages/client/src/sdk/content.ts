import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import type { Client } from "../client.ts";
import { readContent, writeContent } from "../content.ts";
import { readableOf } from "./readable.ts";

/** What is known of a blob. */
export interface BlobInfo {
  readonly digest: string;
  /** bytes */
  readonly size: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Immutable blobs, named by the digest of their bytes. What nothing refers to is collected: see `Leases`. */
export class Content {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Those that match any of the filters; all without one. */
  async *list(...filters: string[]): AsyncGenerator<BlobInfo, void, undefined> {
    for await (const { info } of this.#client.service(ContentDefinition).list({ filters }))
      for (const { digest, size, labels } of info) yield { digest, size: Number(size), labels };
  }

  /** The bytes of a blob from `offset` on. @throws NotFound */
  read(digest: string, options: { readonly offset?: number } = {}): ReadableStream<Uint8Array> {
    return readableOf(readContent(this.#client, digest, options));
  }

  /** Stores bytes and gives their digest. */
  async write(
    source: AsyncIterable<Uint8Array>,
    {
      labels = {},
      ref = `write-${crypto.randomUUID()}`,
    }: { labels?: Readonly<Record<string, string>>; ref?: string } = {},
  ): Promise<BlobInfo> {
    return { ...(await writeContent(this.#client, ref, source, { labels })), labels };
  }

  /** Takes a blob away. @throws NotFound */
  async delete(digest: string): Promise<void> {
    await this.#client.service(ContentDefinition).delete({ digest });
  }
}
