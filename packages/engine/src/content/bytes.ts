import type { Nanoseconds } from "../labels.ts";
import type { ByteRange } from "./blobs.ts";

/**
 * Where the bytes of a content store are, below its records: on this host's disk (`BlobFiles`, `IngestFiles`), or in another process's
 * store. It knows of no namespaces: blobs go by their digest, ingests by references that are never used twice.
 */
export interface ContentBytes {
  readonly blobs: BlobBytes;
  readonly ingests: IngestBytes;
}

/**
 * The committed blobs. Who is about to record one, or relies on one that it has no record of, pins it: the collector leaves pinned ones
 * alone.
 */
export interface BlobBytes {
  /** True if the blob is known not to be there, whatever a record says. */
  isLost(digest: string): boolean;
  /** A file with the blob's bytes, for readers in other processes. @throws InvalidArgument for a malformed digest; NotFound */
  path(digest: string): string | Promise<string>;
  /** @throws NotFound; OutOfRange if the offset is behind the end */
  read(digest: string, range?: ByteRange): AsyncIterable<Uint8Array>;
  /** Keeps the blob from the collector until disposed. */
  pin(digest: string): Disposable;
  /**
   * Removes the blobs of which `isKnown` says no and that nobody has pinned. Gives their number.
   * @param durable waits until the records as they are now are on disk
   */
  collect(isKnown: (digest: string) => boolean, durable: () => Promise<void>): Promise<number>;
}

/** What is being written. */
export interface IngestBytes {
  /** Undefined if nothing is there. */
  state(reference: string): IngestState | undefined | Promise<IngestState | undefined>;
  /** Opens or resumes. The caller sees to it that nobody else does. */
  open(reference: string, options: { total?: number; expected?: string }): Promise<OpenIngest>;
  /** Removes it, whoever writes it. */
  remove(reference: string): Promise<void>;
  /** Removes all but those that `known` gives (asked after what is there was listed). Gives their number. */
  collect(known: () => Iterable<string>): Promise<number>;
}

/** What is known of an ingest. */
export interface IngestState {
  /** bytes */
  offset: number;
  /** bytes, 0 if unknown */
  total: number;
  startedAt: Nanoseconds;
  updatedAt: Nanoseconds;
}

/** One open ingest. One call at a time; closed by `commit` and `close`, after which the rest throws FailedPrecondition. */
export interface OpenIngest {
  readonly state: IngestState;
  /** The digest of the bytes so far. */
  digest(): string;
  /** The same by the algorithm of `expected`. */
  digestAs(expected: string): Promise<string>;
  /** @throws ResourceExhausted if there is no more room: what was written before this call stays */
  write(bytes: Uint8Array): Promise<void>;
  /** Drops what was written. */
  clear(): Promise<void>;
  /** Makes the bytes a blob of this digest, which the caller has pinned. If it is there already, the ingest is just dropped. */
  commit(digest: string): Promise<void>;
  /** What was written stays and can be resumed. */
  close(): Promise<void>;
}
