/**
 * The bytes of the content store in another process, which serves containerd's content service for them. What is whose, labels and the
 * collector stay here; a process with a collector of its own, such as a containerd, is told by a label to keep what is written.
 *
 * Programs that read a blob by its path (the unpacker) get a copy on this host's disk; copies go with the next collection.
 */

import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ContentDefinition, type WriteContentResponse } from "@hull/api/gen/containerd/services/content/v1/content";
import type { ServiceClient } from "@hull/api/rpc";
import { nanosOfTimestamp, nowNanos, rfc3339OfNanos } from "@hull/api/timestamp";
import type { ContentWriter } from "@hull/client/content-writer";
import type { ByteRange } from "@hull/engine/content/blobs";
import type { BlobBytes, IngestBytes, IngestState, OpenIngest } from "@hull/engine/content/bytes";
import { Pins } from "@hull/engine/content/pins";
import { isCode } from "@hull/errors";
import { isDigest, parseDigest } from "@hull/oci/digest";
import { toSafe } from "../services/wire.ts";
import type { Link } from "./link.ts";

/** Namespaces are this side's matter: over there all is in one. */
const everywhere = { namespace: "default" };
/** Keeps a blob from a collector. */
const rootLabel = "containerd.io/gc.root";
/** The most bytes that a reader of the store gets, and that go into a message. */
const chunkSize = 1 << 20;
/** A copy may be about to be opened: it stays so long, ms. */
const copyLifetime = 10 * 60_000;

type Content = ServiceClient<typeof ContentDefinition>;

/** See above. */
export class ProxyBlobs implements BlobBytes {
  readonly #link: Link;
  readonly #copies: string;
  readonly #pins = new Pins();
  readonly #copying = new Map<string, Promise<string>>();
  /** Blobs on their way out: whoever brings one again waits for that. */
  readonly #removing = new Map<string, Promise<unknown>>();

  /** @param root a directory for copies */
  constructor(link: Link, root: string) {
    this.#link = link;
    this.#copies = join(root, "copies");
    rmSync(this.#copies, { recursive: true, force: true });
  }

  isLost(): boolean {
    return false;
  }

  async path(digest: string): Promise<string> {
    const { hex } = parseDigest(digest);
    const path = join(this.#copies, hex);
    if (existsSync(path)) return path;
    const known = this.#copying.get(digest);
    if (known !== undefined) return await known;
    const copying = this.#copy(digest, path).finally(() => this.#copying.delete(digest));
    this.#copying.set(digest, copying);
    return await copying;
  }

  async *read(digest: string, { offset = 0, size = 0 }: ByteRange = {}): AsyncGenerator<Uint8Array> {
    const content = await this.#content();
    const answers = content.read({ digest, offset: BigInt(Math.max(0, offset)), size: BigInt(size) });
    for await (const { data } of answers) {
      for (let at = 0; at < data.length; at += chunkSize) yield data.subarray(at, at + chunkSize);
    }
  }

  pin(digest: string): Disposable {
    return this.#pins.pin(digest);
  }

  async collect(isKnown: (digest: string) => boolean, durable: () => Promise<void>): Promise<number> {
    await this.#dropCopies();
    const isOrphan = (digest: string): boolean => !this.#pins.has(digest) && !isKnown(digest);
    const content = await this.#content();
    const orphans: string[] = [];
    for await (const { info } of content.list({ filters: [] }))
      for (const { digest } of info) if (isOrphan(digest)) orphans.push(digest);
    if (orphans.length === 0) return 0;
    await durable();
    let removed = 0;
    for (const digest of orphans) {
      if (!isOrphan(digest)) continue;
      const removing = content.delete({ digest }).catch((error: unknown) => {
        if (!isCode(error, "notFound")) throw error;
      });
      this.#removing.set(digest, removing);
      try {
        await removing;
        removed++;
      } finally {
        this.#removing.delete(digest);
      }
    }
    return removed;
  }

  /** Resolves when the blob isn't being removed. */
  async settled(digest: string): Promise<void> {
    await this.#removing.get(digest)?.catch(() => undefined);
  }

  #content(): Promise<Content> {
    return this.#link.service(everywhere, ContentDefinition);
  }

  async #copy(digest: string, path: string): Promise<string> {
    mkdirSync(this.#copies, { recursive: true, mode: 0o700 });
    const partial = `${path}.${randomUUID()}`;
    try {
      const file = await open(partial, "wx", 0o400);
      await using stack = new AsyncDisposableStack();
      stack.defer(() => file.close());
      for await (const chunk of this.read(digest)) await file.writeFile(chunk);
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
    return path;
  }

  async #dropCopies(): Promise<void> {
    const names = await readdir(this.#copies).catch(() => []);
    for (const name of names) {
      const path = join(this.#copies, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
      if (mtimeMs < Date.now() - copyLifetime) await rm(path, { force: true });
    }
  }
}

/** Ingests of the other side. */
export class ProxyIngests implements IngestBytes {
  readonly #link: Link;
  readonly #blobs: ProxyBlobs;

  constructor(link: Link, blobs: ProxyBlobs) {
    this.#link = link;
    this.#blobs = blobs;
  }

  async state(reference: string): Promise<IngestState | undefined> {
    const content = await this.#content();
    try {
      const { status } = await content.status({ ref: reference });
      return status === undefined ? undefined : stateOf(status);
    } catch (error) {
      if (isCode(error, "notFound")) return undefined;
      throw error;
    }
  }

  async open(reference: string, { total = 0 }: { total?: number }): Promise<OpenIngest> {
    // A daemon without proxies does without the client.
    const { ContentWriter } = await import("@hull/client/content-writer");
    const content = await this.#content();
    // Which digest is expected is said at the end: the other side would refuse a blob that it has, which our records may not know.
    const writer = await ContentWriter.open(content, reference, { total });
    return new ProxyIngest(writer, content, this.#blobs);
  }

  async remove(reference: string): Promise<void> {
    const content = await this.#content();
    await content.abort({ ref: reference }).catch((error: unknown) => {
      if (!isCode(error, "notFound")) throw error;
    });
  }

  async collect(known: () => Iterable<string>): Promise<number> {
    const content = await this.#content();
    const { statuses } = await content.listStatuses({ filters: [] });
    const keep = new Set(known());
    const orphans = statuses.filter(({ ref }) => !keep.has(ref));
    for (const { ref } of orphans) await this.remove(ref);
    return orphans.length;
  }

  #content(): Promise<Content> {
    return this.#link.service(everywhere, ContentDefinition);
  }
}

/** An ingest over there. */
class ProxyIngest implements OpenIngest {
  readonly #writer: ContentWriter;
  readonly #content: Content;
  readonly #blobs: ProxyBlobs;

  constructor(writer: ContentWriter, content: Content, blobs: ProxyBlobs) {
    this.#writer = writer;
    this.#content = content;
    this.#blobs = blobs;
  }

  get state(): IngestState {
    return this.#writer.status;
  }

  digest(): string {
    return this.#writer.digest;
  }

  async digestAs(expected: string): Promise<string> {
    const actual = this.digest();
    // Bytes that were hashed by another algorithm are hashed again over there when they are committed, and refused if they aren't right.
    if (isDigest(expected) && parseDigest(expected).algorithm !== parseDigest(actual).algorithm) return expected;
    return actual;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#writer.write(bytes);
  }

  clear(): Promise<void> {
    return this.#writer.clear();
  }

  async commit(digest: string): Promise<void> {
    await this.#blobs.settled(digest);
    try {
      await this.#writer.commit({ expected: digest, labels: { [rootLabel]: rfc3339OfNanos(nowNanos()) } });
    } catch (error) {
      if (!isCode(error, "alreadyExists")) throw error;
      await this.#content.abort({ ref: this.#writer.ref }).catch(() => undefined);
    }
  }

  close(): Promise<void> {
    return this.#writer.close();
  }
}

function stateOf({
  offset,
  total,
  startedAt,
  updatedAt,
}: Pick<WriteContentResponse, "offset" | "total" | "startedAt" | "updatedAt">): IngestState {
  return {
    offset: toSafe(offset, "offset of the ingest"),
    total: toSafe(total, "size of the ingest"),
    startedAt: nanosOfTimestamp(startedAt) ?? 0n,
    updatedAt: nanosOfTimestamp(updatedAt) ?? 0n,
  };
}
