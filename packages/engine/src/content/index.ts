import type { Context } from "../context.ts";
import type { Labels, Nanoseconds } from "../labels.ts";

/**
 * The content store keeps immutable blobs, named by the digest of their bytes.
 *
 *   writer(ref) ──write…──► ingest ──commit(digest)──► blob
 *                             │ close: stays, is resumed by the next writer(ref)
 *                             └ abort(ref): gone
 *
 * The bytes of a blob are on disk once for all namespaces; a namespace sees the blobs that it wrote or proved to know. Deleting
 * takes the namespace's record away; the bytes go with the garbage collector. A blob is synced and renamed before it is recorded:
 * after a crash an ingest goes on where the disk has it. One writer a ref at a time.
 */
export interface ContentStore {
  /** @throws NotFound */
  info(ctx: Context, digest: string): Promise<ContentInfo>;
  /**
   * Changes labels. `fieldpaths` empty or `labels`: all are replaced; `labels.<key>`: only that one.
   * @throws NotFound; InvalidArgument for any other path
   */
  update(ctx: Context, digest: string, labels: Labels, fieldpaths?: readonly string[]): Promise<ContentInfo>;
  /** Infos that match any of `filters` (all if empty), by digest. @throws InvalidArgument if a filter doesn't parse */
  walk(ctx: Context, filters?: readonly string[]): AsyncIterable<ContentInfo>;
  /** Takes the namespace's record away. @throws NotFound */
  delete(ctx: Context, digest: string): Promise<void>;
  /**
   * The bytes from `offset` (0) for `size` (to the end; cut at the end) in chunks of at most 1 MiB.
   * @throws NotFound; OutOfRange if `offset` is behind the end
   */
  read(ctx: Context, digest: string, range?: { offset?: number; size?: number }): AsyncIterable<Uint8Array>;
  /** Absolute path of the blob's file, for readers in other processes. Never write to it. @throws NotFound */
  path(ctx: Context, digest: string): Promise<string>;
  /** The state of an ingest. @throws NotFound */
  status(ctx: Context, ref: string): Promise<IngestStatus>;
  listStatuses(ctx: Context, filters?: readonly string[]): Promise<IngestStatus[]>;
  /**
   * Opens or resumes an ingest, and locks its ref until the writer is closed or committed.
   * @throws AlreadyExists if `expected` is a blob of this namespace; Unavailable ("locked") if another writer holds the ref
   */
  writer(ctx: Context, ref: string, expectation?: { total?: number; expected?: string }): Promise<ContentWriter>;
  /** Drops an ingest. @throws NotFound */
  abort(ctx: Context, ref: string): Promise<void>;
}

export interface ContentInfo {
  digest: string;
  /** bytes */
  size: number;
  createdAt: Nanoseconds;
  updatedAt: Nanoseconds;
  labels: Labels;
}

export interface IngestStatus {
  ref: string;
  /** bytes on disk so far */
  offset: number;
  /** bytes expected, 0 if unknown */
  total: number;
  /** digest expected, empty if unknown */
  expected: string;
  startedAt: Nanoseconds;
  updatedAt: Nanoseconds;
}

/** Writes one ingest. Disposing closes it: what was written stays and can be resumed. */
export interface ContentWriter extends AsyncDisposable {
  readonly ref: string;
  /** Bytes written so far: where the next write goes. */
  readonly offset: number;
  status(): IngestStatus;
  /** The digest of the bytes so far. */
  digest(): string;
  write(bytes: Uint8Array): Promise<void>;
  /** Only 0 is possible. @throws Unimplemented otherwise */
  truncate(size: number): Promise<void>;
  /**
   * Makes the ingest a blob: checks, syncs, renames, records. The writer is closed afterwards.
   * @throws FailedPrecondition if size (unless 0/absent) or digest differ, the ingest stays; AlreadyExists if the namespace has the blob
   */
  commit(expectation?: {
    size?: number;
    expected?: string;
    labels?: Labels;
  }): Promise<{ digest: string; size: number }>;
  close(): Promise<void>;
}
