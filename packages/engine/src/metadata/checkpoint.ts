import { closeSync, openSync, readSync } from "node:fs";
import { type Program, startProgram } from "@hull/sys/program";
import { selfCommand } from "../self.ts";
import type { SqlDatabase } from "./sql.ts";

/** Changed rows after which the write-ahead log is brought into the database: each adds a few pages to it, so that it has about 10 MiB. */
const foldRows = 1000;

/** Commits between two looks at the count of rows. */
const lookEvery = 16;

/** So often another process is tried before the log is known not to begin anew by itself. */
const patience = 4;

/** Bytes that the log's file keeps when the log begins anew: overwriting is cheaper than allocating, and cutting costs most. */
const keptBytes = 64 << 20;

/**
 * Brings the write-ahead log into the database file from time to time (a checkpoint: https://www.sqlite.org/wal.html#ckpt). SQLite would
 * do so inside a commit, which then waits for the disk: 0.1 s for pages all over a file. Another process does it meanwhile; writers go
 * on, and the log begins anew when they find all of it brought in.
 */
export class Checkpointer implements Disposable {
  readonly #sql: SqlDatabase;
  readonly #file: string;
  readonly #foldRows: number;
  readonly #command: readonly string[];
  #closed = false;
  #commits = 0;
  #rowsFolded = 0;
  #generation = -1;
  #foldsOfGeneration = 0;
  #child: Program | undefined;
  #running: Promise<void> | undefined;

  /** For the database `file`, which `sql` has open. */
  constructor(sql: SqlDatabase, file: string, options: { foldRows?: number; command?: readonly string[] } = {}) {
    this.#sql = sql;
    this.#file = file;
    this.#command = options.command ?? selfCommand("checkpoint-metadata");
    this.#foldRows = options.foldRows ?? foldRows;
    sql.exec(`PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = ${keptBytes}`);
  }

  /** To be told of every commit. */
  committed(): void {
    if (++this.#commits % lookEvery !== 0 || this.#running !== undefined) return;
    const rows = Number(this.#sql.prepare("SELECT total_changes() AS rows").get()?.rows ?? 0);
    if (rows - this.#rowsFolded < this.#foldRows) return;
    this.#rowsFolded = rows;
    this.#running = this.#fold().finally(() => {
      this.#running = undefined;
    });
  }

  /** When no checkpoint is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    // What it has not brought in stays in the log.
    this.#child?.kill("SIGKILL");
  }

  async #fold(): Promise<void> {
    const done = await this.#inChild();
    if (this.#closed) return;
    try {
      const generation = this.#readGeneration();
      this.#foldsOfGeneration = generation === this.#generation ? this.#foldsOfGeneration + 1 : 1;
      this.#generation = generation;
      // Writers that never rest leave a little behind each time, so that the log never begins anew; that little takes no long.
      if (!done || this.#foldsOfGeneration > patience) this.#sql.exec("PRAGMA wal_checkpoint(PASSIVE)");
    } catch {
      // A disk that is full or broken: the next commit that needs it says so, and the log keeps all until then.
    }
  }

  /** False if it didn't work out. */
  async #inChild(): Promise<boolean> {
    try {
      const child = startProgram([...this.#command, this.#file], { stdio: ["ignore", "ignore", "ignore"], env: {} });
      this.#child = child;
      return (await child.exited) === 0;
    } catch {
      return false;
    } finally {
      this.#child = undefined;
    }
  }

  /** How often the log has begun anew: the checkpoint sequence number, bytes 12 to 15 of it (https://www.sqlite.org/fileformat2.html#walformat). */
  #readGeneration(): number {
    const log = openSync(`${this.#file}-wal`, "r");
    try {
      const number = Buffer.alloc(4);
      readSync(log, number, 0, 4, 12);
      return number.readUInt32BE();
    } finally {
      closeSync(log);
    }
  }
}
