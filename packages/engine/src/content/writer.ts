import { failedPrecondition, unimplemented } from "@hull/errors";
import type { Labels, Nanoseconds } from "../labels.ts";
import { validateLabels, withoutEmpty } from "../metadata/labels.ts";
import type { BlobBytes, OpenIngest } from "./bytes.ts";
import type { ContentWriter, IngestStatus } from "./index.ts";

export interface BlobWriterParts {
  ref: string;
  expected: string;
  blobs: BlobBytes;
  ingest: OpenIngest | undefined;
  /** Instead of an ingest: a blob that another namespace brought. `open` makes an ingest after all, if bytes do come. */
  known: { digest: string; size: number; open: () => Promise<OpenIngest> } | undefined;
  /** Makes the blob visible in the namespace. @throws AlreadyExists */
  record: (digest: string, size: number, labels: Labels) => Promise<void>;
  /** Gives the lock of the ref back. */
  release: () => void;
}

/** Writes one ingest of the local store, or stands for a blob that is here already and needs no bytes. One call at a time. */
export class BlobWriter implements ContentWriter {
  readonly ref: string;
  readonly #parts: BlobWriterParts;
  readonly #started: Nanoseconds = BigInt(Date.now()) * 1_000_000n;
  #ingest: OpenIngest | undefined;
  #known: BlobWriterParts["known"];
  #pin: Disposable | undefined;
  #closed = false;

  constructor(parts: BlobWriterParts) {
    this.ref = parts.ref;
    this.#parts = parts;
    this.#ingest = parts.ingest;
    this.#known = parts.known;
    // Whoever brought it may delete it while this writer stands for it.
    if (parts.known !== undefined) this.#pin = parts.blobs.pin(parts.known.digest);
  }

  get offset(): number {
    return this.#known?.size ?? this.#open().state.offset;
  }

  status(): IngestStatus {
    const { ref, expected } = this.#parts;
    if (this.#known !== undefined) {
      const { size } = this.#known;
      return { ref, expected, offset: size, total: size, startedAt: this.#started, updatedAt: this.#started };
    }
    return { ref, expected, ...this.#open().state };
  }

  digest(): string {
    return this.#known?.digest ?? this.#open().digest();
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    const { ingest, known } = await this.#unshare();
    // Bytes after the end of the known blob: what comes out is another one, which begins with it.
    if (known !== undefined) {
      for await (const chunk of this.#parts.blobs.read(known.digest)) await ingest.write(chunk);
    }
    await ingest.write(bytes);
  }

  async truncate(size: number): Promise<void> {
    if (size !== 0) throw unimplemented(`truncating ref "${this.ref}" to ${size}: only 0 is possible`);
    const { ingest } = await this.#unshare();
    await ingest.clear();
  }

  async commit({
    size = 0,
    expected = "",
    labels = {},
  }: {
    size?: number;
    expected?: string;
    labels?: Labels;
  } = {}): Promise<{ digest: string; size: number }> {
    try {
      validateLabels(labels, "info.Labels");
      const actualSize = this.offset;
      if (size !== 0 && size !== actualSize) {
        throw failedPrecondition(`"${this.ref}" failed size validation: ${actualSize} != ${size}`);
      }
      const digest = this.#known?.digest ?? (await this.#open().digestAs(expected));
      if (expected !== "" && expected !== digest) {
        throw failedPrecondition(`unexpected commit digest ${digest}, expected ${expected}`);
      }
      // Renamed but not recorded yet: the collector must not take it for an orphan.
      using _pin = this.#parts.blobs.pin(digest);
      if (this.#known === undefined) await this.#open().commit(digest);
      await this.#parts.record(digest, actualSize, withoutEmpty(labels));
      return { digest, size: actualSize };
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#ingest?.close();
    } finally {
      this.#known = undefined;
      this.#pin?.[Symbol.dispose]();
      this.#parts.release();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(): OpenIngest {
    if (this.#closed || this.#ingest === undefined) {
      throw failedPrecondition(`the writer of ref "${this.ref}" is closed: open the ref again`);
    }
    return this.#ingest;
  }

  /** An ingest to write to; `known` is what the writer stood for until now. */
  async #unshare(): Promise<{ ingest: OpenIngest; known: BlobWriterParts["known"] }> {
    const known = this.#known;
    if (known === undefined) return { ingest: this.#open(), known };
    this.#ingest = await known.open();
    await this.#ingest.clear();
    this.#known = undefined;
    return { ingest: this.#ingest, known };
  }
}
