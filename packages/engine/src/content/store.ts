import { ContentCreate, ContentDelete } from "@hull/api/gen/containerd/events/content";
import { alreadyExists, dataLoss, invalidArgument, notFound, unavailable } from "@hull/errors";
import { Digester, isDigest, parseDigest } from "@hull/oci/digest";
import type { Context } from "../context.ts";
import type { EventExchange } from "../events/index.ts";
import type { Labels, Nanoseconds } from "../labels.ts";
import { digestProblem } from "../metadata/digest-problem.ts";
import { contentAdaptor, ingestAdaptor } from "../metadata/filters/adaptors.ts";
import { compileFilters } from "../metadata/filters/index.ts";
import { addToLease, ensureNamespace, type Metadata, requireNamespace } from "../metadata/index.ts";
import { updateLabels } from "../metadata/labels.ts";
import { bigintOf, labelsOf, textOf } from "../metadata/rows.ts";
import type { SqlRow } from "../metadata/sql.ts";
import { BlobFiles } from "./blobs.ts";
import type { BlobBytes, ContentBytes, IngestBytes } from "./bytes.ts";
import { digestInSlices } from "./hash.ts";
import type { ContentInfo, ContentStore, ContentWriter, IngestStatus } from "./index.ts";
import { IngestFiles } from "./ingests.ts";
import { BlobWriter } from "./writer.ts";

/** An ingest that nobody goes on with is kept for a day, unless a lease holds it. */
const ingestLifetime: Nanoseconds = 24n * 60n * 60n * 1_000_000_000n;

export interface LocalContentOptions {
  metadata: Metadata;
  events: Pick<EventExchange, "publish">;
  /** The directory of `blobs` and `ingest`; or where else the bytes are. */
  root: string | ContentBytes;
  /**
   * Whether a namespace gets a blob of another one by naming its digest (`shared`, the default), or has to bring the bytes
   * (`isolated`, unless the other namespace has the label `containerd.io/namespace.shareable=true`).
   */
  sharing?: "shared" | "isolated";
  /** Told of every deletion and change, so that a collection may be scheduled. */
  changed?: (kind: "deletion" | "mutation") => void;
}

/** The content store: records in the metadata, bytes on this host's disk, as containerd lays them out, unless they are elsewhere. */
export class LocalContentStore implements ContentStore {
  readonly #metadata: Metadata;
  readonly #events: Pick<EventExchange, "publish">;
  readonly #changed: (kind: "deletion" | "mutation") => void;
  readonly #isolated: boolean;
  readonly #blobs: BlobBytes;
  readonly #ingests: IngestBytes;
  /** The open writers, by their reference on disk. */
  readonly #writers = new Map<string, { since: number; writer?: BlobWriter }>();

  constructor({ metadata, events, root, sharing = "shared", changed = () => undefined }: LocalContentOptions) {
    this.#metadata = metadata;
    this.#events = events;
    this.#changed = changed;
    this.#isolated = sharing === "isolated";
    const { blobs, ingests } = typeof root === "string" ? bytesOnDisk(root) : root;
    this.#blobs = blobs;
    this.#ingests = ingests;
  }

  async info(ctx: Context, digest: string): Promise<ContentInfo> {
    return this.#info(requireNamespace(ctx), digest);
  }

  async update(ctx: Context, digest: string, labels: Labels, fieldpaths: readonly string[] = []): Promise<ContentInfo> {
    const namespace = requireNamespace(ctx);
    const updated = this.#metadata.write(() => {
      const info = this.#info(namespace, digest);
      const changed = {
        ...info,
        labels: updateLabels(info.labels, labels, fieldpaths, `content info "${digest}"`, "info.Labels"),
        updatedAt: now(),
      };
      this.#metadata.sql
        .prepare("UPDATE blobs SET labels = ?, updated_at = ? WHERE namespace = ? AND digest = ?")
        .run(JSON.stringify(changed.labels), changed.updatedAt, namespace, digest);
      return changed;
    });
    this.#changed("mutation");
    return updated;
  }

  async *walk(ctx: Context, filters: readonly string[] = []): AsyncGenerator<ContentInfo> {
    const namespace = requireNamespace(ctx);
    const matches = compileFilters(filters, contentAdaptor);
    const page = this.#metadata.sql.prepare(
      "SELECT * FROM blobs WHERE namespace = ? AND digest > ? ORDER BY digest LIMIT 200",
    );
    for (let rows = page.all(namespace, ""); rows.length > 0; ) {
      ctx.signal.throwIfAborted();
      let last = "";
      for (const row of rows) {
        const info = infoOf(row);
        last = info.digest;
        if (matches(info)) yield info;
      }
      await new Promise(setImmediate);
      rows = page.all(namespace, last);
    }
  }

  async delete(ctx: Context, digest: string): Promise<void> {
    const namespace = requireNamespace(ctx);
    const problem = digestProblem(digest);
    if (problem !== undefined) throw invalidArgument(problem);
    const removed = this.#metadata.write(() => {
      this.#metadata.sql
        .prepare("DELETE FROM lease_resources WHERE namespace = ? AND type = 'content' AND id = ?")
        .run(namespace, digest);
      return this.#metadata.sql.prepare("DELETE FROM blobs WHERE namespace = ? AND digest = ?").run(namespace, digest);
    });
    if (removed === 0) throw unknownContent(digest);
    this.#publish(namespace, "/content/delete", {
      typeUrl: "containerd.events.ContentDelete",
      value: ContentDelete.encode({ digest }).finish(),
    });
    this.#changed("deletion");
  }

  async *read(ctx: Context, digest: string, range?: { offset?: number; size?: number }): AsyncGenerator<Uint8Array> {
    const namespace = requireNamespace(ctx);
    const problem = digestProblem(digest);
    if (problem !== undefined) throw invalidArgument(`${digest}: ${problem}`);
    this.#info(namespace, digest);
    for await (const chunk of this.#blobs.read(digest, range)) {
      ctx.signal.throwIfAborted();
      yield chunk;
    }
  }

  async path(ctx: Context, digest: string): Promise<string> {
    this.#info(requireNamespace(ctx), digest);
    return await this.#blobs.path(digest);
  }

  /** Reads a blob whole and checks it. @throws NotFound; DataLoss if the bytes are not those that the digest names */
  async verify(ctx: Context, digest: string): Promise<void> {
    this.#info(requireNamespace(ctx), digest);
    const digester = new Digester(parseDigest(digest).algorithm);
    for await (const chunk of this.#blobs.read(digest)) {
      ctx.signal.throwIfAborted();
      await digestInSlices(digester, chunk);
    }
    const actual = digester.digest();
    if (actual !== digest)
      throw dataLoss(`content ${digest} is damaged, its digest is ${actual} now: delete it and fetch it again`);
  }

  async status(ctx: Context, ref: string): Promise<IngestStatus> {
    const namespace = requireNamespace(ctx);
    const row = this.#metadata.sql
      .prepare("SELECT id, ref, expected FROM ingests WHERE namespace = ? AND ref = ?")
      .get(namespace, ref);
    const status = row === undefined ? undefined : await this.#status(namespace, row);
    if (status === undefined) throw unknownIngest(ref);
    return status;
  }

  async listStatuses(ctx: Context, filters: readonly string[] = []): Promise<IngestStatus[]> {
    const namespace = requireNamespace(ctx);
    const matches = compileFilters(filters, ingestAdaptor);
    const statuses = await Promise.all(
      this.#metadata.sql
        .prepare("SELECT id, ref, expected FROM ingests WHERE namespace = ? ORDER BY ref")
        .all(namespace)
        .map((row) => this.#status(namespace, row)),
    );
    return statuses.filter((status) => status !== undefined).filter(matches);
  }

  async writer(
    ctx: Context,
    ref: string,
    { total = 0, expected = "" }: { total?: number; expected?: string } = {},
  ): Promise<ContentWriter> {
    const namespace = requireNamespace(ctx);
    if (ref === "") throw invalidArgument("a content writer needs a ref");
    const { reference, id, known } = this.#admit(ctx, namespace, ref, total, expected);

    // From here to the entry in `#writers` nothing awaits: two callers can't both pass.
    const entry: { since: number; writer?: BlobWriter } = { since: Date.now() };
    this.#writers.set(reference, entry);
    const release = () => {
      if (this.#writers.get(reference) === entry) this.#writers.delete(reference);
    };
    try {
      const open = (size: number) => this.#ingests.open(reference, { total: size, expected });
      entry.writer = new BlobWriter({
        ref,
        expected,
        blobs: this.#blobs,
        ingest: known === undefined ? await open(total) : undefined,
        known: known === undefined ? undefined : { digest: expected, size: known, open: () => open(total) },
        record: (digest, size, labels) => this.#record(ctx, { id, ref, digest, size, labels }),
        release,
      });
      return entry.writer;
    } catch (error) {
      release();
      throw error;
    }
  }

  async abort(ctx: Context, ref: string): Promise<void> {
    const namespace = requireNamespace(ctx);
    const row = this.#metadata.write(() => {
      const { sql } = this.#metadata;
      const found = sql.prepare("SELECT id FROM ingests WHERE namespace = ? AND ref = ?").get(namespace, ref);
      sql.prepare("DELETE FROM ingests WHERE namespace = ? AND ref = ?").run(namespace, ref);
      sql
        .prepare("DELETE FROM lease_resources WHERE namespace = ? AND type = 'ingests' AND id = ?")
        .run(namespace, ref);
      return found;
    });
    if (row === undefined) throw unknownIngest(ref);
    await this.#ingests.remove(referenceOf(namespace, bigintOf(row.id), ref));
    this.#changed("mutation");
  }

  /**
   * Removes the files of blobs and ingests that no namespace has a record of. Safe beside everything else: what is being committed or
   * written is left alone.
   */
  async collectGarbage(): Promise<{ blobs: number; ingests: number }> {
    const { sql } = this.#metadata;
    const known = sql.prepare("SELECT 1 FROM blobs WHERE digest = ? LIMIT 1");
    const blobs = await this.#blobs.collect(
      (digest) => known.get(digest) !== undefined,
      () => this.#metadata.durable(),
    );
    const ingests = await this.#ingests.collect(() => [
      ...this.#writers.keys(),
      ...sql
        .prepare("SELECT id, namespace, ref FROM ingests")
        .all()
        .map((row) => referenceOf(textOf(row.namespace), bigintOf(row.id), textOf(row.ref))),
    ]);
    return { blobs, ingests };
  }

  /** Decides on a writer: what it writes to, and whether it needs bytes at all (`known`: the size of a blob that others have). */
  #admit(ctx: Context, namespace: string, ref: string, total: number, expected: string) {
    const { sql } = this.#metadata;
    const admitted = this.#metadata.write(() => {
      if (expected !== "" && this.#find(namespace, expected) !== undefined) {
        addToLease(sql, ctx, "content", expected);
        return "exists";
      }
      ensureNamespace(sql, namespace);
      sql.prepare("INSERT OR IGNORE INTO ingests (namespace, ref, expected) VALUES (?, ?, '')").run(namespace, ref);
      const row = sql.prepare("SELECT id FROM ingests WHERE namespace = ? AND ref = ?").get(namespace, ref);
      const id = bigintOf(row?.id);
      const reference = referenceOf(namespace, id, ref);
      const holder = this.#writers.get(reference);
      if (holder !== undefined) return holder;
      const leased = ctx.lease !== undefined && ctx.lease !== "";
      addToLease(sql, ctx, "ingests", ref);
      const known = expected === "" ? undefined : this.#sizeElsewhere(expected, total);
      sql
        .prepare("UPDATE ingests SET expires_at = ?, expected = ? WHERE id = ?")
        .run(leased ? null : now() + ingestLifetime, known === undefined ? "" : expected, id);
      return { id, reference, known };
    });
    if (admitted === "exists") throw alreadyExists(`content ${expected}`);
    if ("since" in admitted) {
      const seconds = ((Date.now() - admitted.since) / 1000).toFixed(3);
      throw unavailable(`ref ${ref} locked for ${seconds}s (since ${new Date(admitted.since).toISOString()})`);
    }
    return admitted;
  }

  /** Bytes of a blob of another namespace, if this one may have it for knowing its digest. */
  #sizeElsewhere(digest: string, total: number): number | undefined {
    const shareable = `AND json_extract(n.labels, '$."containerd.io/namespace.shareable"') = 'true'`;
    const row = this.#metadata.sql
      .prepare(
        `SELECT b.size FROM blobs b JOIN namespaces n ON n.name = b.namespace
         WHERE b.digest = ? ${this.#isolated ? shareable : ""} LIMIT 1`,
      )
      .get(digest);
    if (row === undefined || this.#blobs.isLost(digest)) return undefined;
    const size = Number(row.size);
    return total === 0 || total === size ? size : undefined;
  }

  async #record(
    ctx: Context,
    { id, ref, digest, size, labels }: { id: bigint; ref: string; digest: string; size: number; labels: Labels },
  ): Promise<void> {
    const { sql } = this.#metadata;
    const { namespace } = ctx;
    const inserted = this.#metadata.write(() => {
      const ended = sql.prepare("DELETE FROM ingests WHERE id = ?").run(id);
      if (ended > 0) {
        sql
          .prepare("DELETE FROM lease_resources WHERE namespace = ? AND type = 'ingests' AND id = ?")
          .run(namespace, ref);
      }
      ensureNamespace(sql, namespace);
      addToLease(sql, ctx, "content", digest);
      const time = now();
      return sql
        .prepare(
          "INSERT OR IGNORE INTO blobs (namespace, digest, size, labels, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .run(namespace, digest, size, JSON.stringify(labels), time, time);
    });
    if (inserted === 0) throw alreadyExists(`content ${digest}`);
    await this.#metadata.durable();
    this.#publish(namespace, "/content/create", {
      typeUrl: "containerd.events.ContentCreate",
      value: ContentCreate.encode({ digest, size: BigInt(size), mediaType: "" }).finish(),
    });
    this.#changed("mutation");
  }

  #publish(namespace: string, topic: string, event: { typeUrl: string; value: Uint8Array }): void {
    this.#events.publish({ namespace }, topic, event);
  }

  #find(namespace: string, digest: string): SqlRow | undefined {
    return this.#metadata.sql.prepare("SELECT * FROM blobs WHERE namespace = ? AND digest = ?").get(namespace, digest);
  }

  #info(namespace: string, digest: string): ContentInfo {
    if (!isDigest(digest)) throw invalidArgument(`"${digest}" failed validation`);
    const row = this.#find(namespace, digest);
    if (row === undefined) throw unknownContent(digest);
    return infoOf(row);
  }

  async #status(namespace: string, row: SqlRow): Promise<IngestStatus | undefined> {
    const ref = textOf(row.ref);
    const reference = referenceOf(namespace, bigintOf(row.id), ref);
    const open = this.#writers.get(reference)?.writer;
    if (open !== undefined) return open.status();
    const state = await this.#ingests.state(reference);
    return state === undefined ? undefined : { ref, expected: textOf(row.expected), ...state };
  }
}

function bytesOnDisk(root: string): ContentBytes {
  const blobs = new BlobFiles(root);
  return { blobs, ingests: new IngestFiles(root, blobs) };
}

const now = (): Nanoseconds => BigInt(Date.now()) * 1_000_000n;

/** The name of an ingest on disk, as containerd makes it. */
const referenceOf = (namespace: string, id: bigint, ref: string) => `${namespace}/${id}/${ref}`;

const unknownContent = (digest: string) => notFound(`content digest ${digest}`);

const unknownIngest = (ref: string) => notFound(`reference ${ref}`);

function infoOf(row: SqlRow): ContentInfo {
  return {
    digest: textOf(row.digest),
    size: Number(row.size),
    labels: labelsOf(row.labels),
    createdAt: bigintOf(row.created_at),
    updatedAt: bigintOf(row.updated_at),
  };
}
