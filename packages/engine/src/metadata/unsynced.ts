import { readFileSync } from "node:fs";
import { unknown } from "@hull/errors";
import { startProgram } from "@hull/sys/program";
import { lastWords } from "../last-words.ts";
import { selfCommand } from "../self.ts";
import type { SqlDatabase } from "./sql.ts";

/** How long no snapshot must have been committed until their files are synced, ms: layers of an image come one after the other. */
const quietMs = 2000;

/**
 * Snapshots whose files may be in memory only. Syncing them at once would make every unpacking wait for the disk, so their records say it
 * of them until it is done:
 *
 *   committed ──note──► unsynced ──settle, or some seconds of quiet──► on disk
 *
 * Nobody is told that a container is there before the files below it are on disk. After a loss of power the snapshots that were unsynced are
 * forgotten (`dropLost`): their image is unpacked again when it is next used, instead of showing files that are empty.
 */
export class UnsyncedSnapshots implements Disposable {
  readonly #sql: SqlDatabase;
  readonly #boot: string;
  readonly #sync: (directory: string) => Promise<void>;
  #count: number;
  #settling: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(sql: SqlDatabase, options: { boot?: string; sync?: (directory: string) => Promise<void> } = {}) {
    this.#sql = sql;
    this.#boot = options.boot ?? readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    this.#sync = options.sync ?? syncFileSystem;
    this.#count = Number(sql.prepare(countOfBoot).get(this.#boot)?.count ?? 0);
    if (this.#count > 0) this.#settleLater();
  }

  /** The files of snapshot `id`, below `directory`, may not be on disk. To be called in the transaction that commits it. */
  note(id: bigint, directory: string): void {
    this.#sql
      .prepare("INSERT OR REPLACE INTO unsynced_snapshots (id, directory, boot) VALUES (?, ?, ?)")
      .run(id, directory, this.#boot);
    this.#count++;
    this.#settleLater();
  }

  /** Waits until the files of all snapshots committed before are on disk. @throws Unknown if the file system can't be synced */
  async settle(): Promise<void> {
    while (this.#count > 0) {
      this.#settling ??= this.#settle().finally(() => {
        this.#settling = undefined;
      });
      await this.#settling;
    }
  }

  /**
   * Forgets the snapshots that a loss of power took unsynced. To be called before anybody uses them.
   * @returns keys of those that are in use and may lack files
   */
  dropLost(): { readonly dropped: number; readonly doubtful: readonly string[] } {
    const sql = this.#sql;
    return sql.transaction(() => {
      let dropped = 0;
      // Children go before their parents, over and over until only those are left that something else needs.
      for (;;) {
        const free = sql
          .prepare(`${lost} AND NOT EXISTS (SELECT 1 FROM snapshots c WHERE c.parent_id = s.id)`)
          .all(this.#boot);
        if (free.length === 0) break;
        for (const { id, namespace, snapshotter, key } of free) {
          const type = `snapshots/${snapshotter}`;
          sql
            .prepare("DELETE FROM lease_resources WHERE namespace = ? AND type = ? AND id = ?")
            .run(namespace ?? "", type, key ?? "");
          sql.prepare("DELETE FROM snapshots WHERE id = ?").run(id ?? null);
        }
        dropped += free.length;
      }
      return {
        dropped,
        doubtful: sql
          .prepare(lost)
          .all(this.#boot)
          .map(({ key }) => String(key)),
      };
    });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #settleLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // What fails is met by whoever waits next; the records go on saying it.
      this.settle().catch(() => {});
    }, quietMs);
    this.#timer.unref();
  }

  async #settle(): Promise<void> {
    clearTimeout(this.#timer);
    const rows = this.#sql.prepare("SELECT id, directory FROM unsynced_snapshots WHERE boot = ?").all(this.#boot);
    for (const directory of new Set(rows.map((row) => String(row.directory)))) await this.#sync(directory);
    this.#sql.transaction(() => {
      const statement = this.#sql.prepare("DELETE FROM unsynced_snapshots WHERE id = ?");
      for (const { id } of rows) if (id !== undefined) statement.run(id);
    });
    this.#count = Number(this.#sql.prepare(countOfBoot).get(this.#boot)?.count ?? 0);
  }
}

const countOfBoot = "SELECT count(*) AS count FROM unsynced_snapshots WHERE boot = ?";
const lost = `SELECT s.id, s.namespace, s.snapshotter, s.key FROM unsynced_snapshots u JOIN snapshots s ON s.id = u.id WHERE u.boot <> ?`;

/** syncfs(2) waits for the disk, so another process calls it. */
async function syncFileSystem(directory: string): Promise<void> {
  const child = startProgram([...selfCommand("sync"), directory], { stdio: ["ignore", "ignore", "pipe"], env: {} });
  const said = lastWords(child.stderr);
  if ((await child.exited) !== 0) throw unknown(`"${directory}" can't be synced: ${await said}`);
}
