import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { failedPrecondition } from "@hull/errors";
import { type DigestAlgorithm, Digester, isDigest, parseDigest } from "@hull/oci/digest";
import type { Nanoseconds } from "../labels.ts";
import type { BlobFiles } from "./blobs.ts";
import type { IngestBytes, IngestState, OpenIngest } from "./bytes.ts";
import { digestInSlices } from "./hash.ts";
import { ioError, readFile, syncDirectory, writeWhole } from "./io.ts";

/**
 * The ingests on disk: `<root>/ingest/<sha256 of the reference>/{data,ref,startedat,updatedat,total}`. The layout is containerd's; the
 * references are `<namespace>/<id>/<client's ref>`, so that they are never used twice.
 */
export class IngestFiles implements IngestBytes {
  readonly #root: string;
  readonly #blobs: BlobFiles;

  constructor(root: string, blobs: BlobFiles) {
    this.#root = join(root, "ingest");
    this.#blobs = blobs;
    mkdirSync(this.#root, { recursive: true, mode: 0o755 });
  }

  #directory(reference: string): string {
    return join(this.#root, directoryName(reference));
  }

  /** Undefined if nothing is there. */
  state(reference: string): IngestState | undefined {
    const directory = this.#directory(reference);
    const data = statSync(join(directory, "data"), { throwIfNoEntry: false });
    if (data === undefined) return undefined;
    return {
      offset: data.size,
      total: sizeOf(join(directory, "total")),
      startedAt: timeOf(join(directory, "startedat")) ?? milliseconds(data.mtimeMs),
      updatedAt: milliseconds(data.mtimeMs),
    };
  }

  /** Opens or resumes; what is there already is read once to go on with its digest. The caller sees to it that nobody else does. */
  async open(reference: string, { total = 0, expected = "" }: { total?: number; expected?: string }): Promise<Ingest> {
    const directory = this.#directory(reference);
    const before = this.state(reference);
    const now = milliseconds(Date.now());
    const knownTotal = total > 0 ? total : (before?.total ?? 0);
    try {
      if (before === undefined) {
        mkdirSync(directory, { recursive: true, mode: 0o755 });
        writeFileSync(join(directory, "ref"), reference);
        writeFileSync(join(directory, "startedat"), textOfTime(now));
        writeFileSync(join(directory, "updatedat"), textOfTime(now));
      }
      if (knownTotal > 0 && knownTotal !== before?.total) writeFileSync(join(directory, "total"), String(knownTotal));
      const file = await open(join(directory, "data"), before === undefined ? "w+" : "r+", 0o644);
      const algorithm = isDigest(expected) ? parseDigest(expected).algorithm : "sha256";
      const ingest = new Ingest({
        file,
        directory,
        blobs: this.#blobs,
        algorithm,
        state: {
          offset: 0,
          total: knownTotal,
          startedAt: before?.startedAt ?? now,
          updatedAt: before?.updatedAt ?? now,
        },
      });
      try {
        await ingest.resume(before?.offset ?? 0);
      } catch (error) {
        await file.close();
        throw error;
      }
      return ingest;
    } catch (error) {
      throw ioError(error, `open ingest "${reference}"`);
    }
  }

  /** Removes it, whoever writes it. */
  async remove(reference: string): Promise<void> {
    await rm(this.#directory(reference), { recursive: true, force: true });
  }

  /** Removes the directories of all references but those that `known` gives (asked after the disk was). Gives their number. */
  async collect(known: () => Iterable<string>): Promise<number> {
    const names = await readdir(this.#root);
    const keep = new Set([...known()].map(directoryName));
    const orphans = names.filter((name) => !keep.has(name));
    for (const name of orphans) await rm(join(this.#root, name), { recursive: true, force: true });
    return orphans.length;
  }
}

interface IngestParts {
  file: FileHandle;
  directory: string;
  blobs: BlobFiles;
  algorithm: DigestAlgorithm;
  state: IngestState;
}

/** One open ingest. One call at a time; closed by `commit` and `close`, after which the rest throws FailedPrecondition. */
export class Ingest implements OpenIngest {
  readonly #directory: string;
  readonly #blobs: BlobFiles;
  readonly #state: IngestState;
  #digester: Digester;
  #file: FileHandle | undefined;

  constructor({ file, directory, blobs, algorithm, state }: IngestParts) {
    this.#file = file;
    this.#directory = directory;
    this.#blobs = blobs;
    this.#digester = new Digester(algorithm);
    this.#state = state;
  }

  get state(): IngestState {
    return { ...this.#state };
  }

  /** The digest of the bytes so far. */
  digest(): string {
    return this.#digester.digest();
  }

  /** The digest of the bytes so far by the algorithm of `expected`; reads them again if that is not the one they were hashed by. */
  async digestAs(expected: string): Promise<string> {
    const algorithm = isDigest(expected) ? parseDigest(expected).algorithm : this.#digester.algorithm;
    if (algorithm !== this.#digester.algorithm) {
      this.#digester = new Digester(algorithm);
      await this.resume(this.#state.offset);
    }
    return this.digest();
  }

  /** @throws ResourceExhausted if the disk is full: what was written before this call stays */
  async write(bytes: Uint8Array): Promise<void> {
    const file = this.#open();
    const { offset } = this.#state;
    // The kernel copies on another thread while this one hashes.
    const [written] = await Promise.allSettled([
      writeWhole(file, bytes, offset),
      digestInSlices(this.#digester, bytes),
    ]);
    if (written.status === "rejected") {
      // Some of it may be in the file and all of it is in the digest: back to what was before.
      await file.truncate(offset);
      await this.resume(offset);
      throw ioError(written.reason, `write ${bytes.length} bytes at ${offset} of the ingest`);
    }
    this.#state.offset = offset + bytes.length;
    this.#state.updatedAt = milliseconds(Date.now());
  }

  /** Takes the first `size` bytes of the file as written. */
  async resume(size: number): Promise<void> {
    this.#digester = new Digester(this.#digester.algorithm);
    this.#state.offset = 0;
    for await (const chunk of readFile(this.#open(), 0, size)) {
      await digestInSlices(this.#digester, chunk);
      this.#state.offset += chunk.length;
    }
  }

  /** Drops what was written. */
  async clear(): Promise<void> {
    await this.#open().truncate(0);
    this.#digester = new Digester(this.#digester.algorithm);
    this.#state.offset = 0;
    this.#state.updatedAt = milliseconds(Date.now());
  }

  /**
   * Makes the bytes a blob: syncs, renames, syncs the name, and drops the rest of the ingest. The caller has checked and pinned the
   * digest. If the blob is there already, the ingest is just dropped. If it fails, the ingest stays. Closed either way.
   */
  async commit(digest: string): Promise<void> {
    const file = this.#open();
    try {
      if (this.#blobs.size(digest) === undefined) {
        const target = this.#blobs.pathToCreate(digest);
        await file.chmod(0o444);
        await file.sync();
        await rename(join(this.#directory, "data"), target);
        await syncDirectory(dirname(target));
      }
    } catch (error) {
      await this.close();
      throw ioError(error, "commit");
    }
    this.#file = undefined;
    await file.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** What was written stays and can be resumed. */
  async close(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    await file.close();
    // Not there any more if the ingest was aborted under the writer.
    await writeFile(join(this.#directory, "updatedat"), textOfTime(this.#state.updatedAt)).catch(() => undefined);
  }

  #open(): FileHandle {
    if (this.#file === undefined) throw failedPrecondition("the writer is closed: open the ref again");
    return this.#file;
  }
}

const directoryName = (reference: string) => createHash("sha256").update(reference).digest("hex");

const milliseconds = (ms: number): Nanoseconds => BigInt(Math.trunc(ms)) * 1_000_000n;

const textOfTime = (time: Nanoseconds) => new Date(Number(time / 1_000_000n)).toISOString();

function textOf(path: string): string | undefined {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  return readFileSync(path, "utf8");
}

/** After a loss of power the file may hold anything, or nothing. */
function sizeOf(path: string): number {
  const text = textOf(path) ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

function timeOf(path: string): Nanoseconds | undefined {
  const time = Date.parse(textOf(path) ?? "");
  return Number.isNaN(time) ? undefined : milliseconds(time);
}
