import { statSync } from "node:fs";
import { selfCommand } from "../self.ts";
import type { SqlDatabase } from "./sql.ts";

/** Bytes of the write-ahead log from which on it is brought into the database: twice what SQLite itself would let it grow to. */
const foldBytes = 8 << 20;

/** Commits between two looks at the log's size. */
const lookEvery = 16;

/**
 * Brings the write-ahead log into the database file from time to time (a checkpoint: https://www.sqlite.org/wal.html#ckpt). SQLite would
 * do so inside a commit, which then waits for the disk: 0.1 s for pages all over a file. Another process does it meanwhile; writers go
 * on, and the log begins anew when they find all of it brought in.
 */
export class Checkpointer implements Disposable {
  readonly #sql: SqlDatabase;
  readonly #file: string;
  readonly #foldBytes: number;
  readonly #command: readonly string[];
  #commits = 0;
  #closed = false;
  #child: Bun.Subprocess | undefined;
  #running: Promise<void> | undefined;

  /** For the database `file`, which `sql` has open. */
  constructor(sql: SqlDatabase, file: string, options: { foldBytes?: number; command?: string[] } = {}) {
    this.#sql = sql;
    this.#file = file;
    this.#command = options.command ?? selfCommand("checkpoint-metadata");
    this.#foldBytes = options.foldBytes ?? foldBytes;
    // The log's file is as long as the log is: it is cut when the log begins anew.
    sql.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 0");
  }

  /** To be told of every commit. */
  committed(): void {
    if (++this.#commits % lookEvery !== 0 || this.#running !== undefined) return;
    if (this.#logBytes() < this.#foldBytes) return;
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
    // Writers that never rest leave a little behind each time, so that the log never begins anew; that little takes no long.
    if (this.#closed || (done && this.#logBytes() <= 4 * this.#foldBytes)) return;
    try {
      this.#sql.exec("PRAGMA wal_checkpoint(PASSIVE)");
    } catch {
      // A disk that is full or broken: the next commit that needs it says so, and the log keeps all until then.
    }
  }

  /** False if it didn't work out. */
  async #inChild(): Promise<boolean> {
    try {
      this.#child = Bun.spawn([...this.#command, this.#file], {
        stdio: ["ignore", "ignore", "ignore"],
        env: {},
      });
      return (await this.#child.exited) === 0;
    } catch {
      return false;
    } finally {
      this.#child = undefined;
    }
  }

  #logBytes(): number {
    return statSync(`${this.#file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }
}
