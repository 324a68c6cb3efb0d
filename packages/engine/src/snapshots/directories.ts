import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "@hull/sys/errno";
import { ioError } from "../content/io.ts";
import type { SnapshotRecords } from "./records.ts";

/**
 * The directories of a snapshotter's snapshots, `<root>/snapshots/<id>`, and their removal.
 *
 * A directory belongs to the record with its id; one without a record, whatever left it there, is removed by `cleanup`. Removing takes its
 * time, so it happens behind the back of whoever asked, one tree after the other.
 */
export class SnapshotDirectories implements AsyncDisposable {
  readonly #root: string;
  readonly #records: SnapshotRecords;
  /** Names of directories that are being made and have no record yet. */
  readonly #unborn = new Set<string>();
  #removal: Promise<void> = Promise.resolve();

  constructor(root: string, records: SnapshotRecords) {
    this.#root = join(root, "snapshots");
    this.#records = records;
    mkdirSync(this.#root, { recursive: true, mode: 0o700 });
  }

  path(id: number): string {
    return join(this.#root, String(id));
  }

  /** Makes the directory of a new snapshot and lets `fill` make what belongs into it; if that throws, it is removed again. */
  create(id: number, fill: (path: string) => void): void {
    const path = this.path(id);
    try {
      this.#claim(id, () => mkdirSync(path, { mode: 0o700 }));
    } catch (error) {
      throw ioError(error, `make the directory of snapshot ${id}`);
    }
    try {
      fill(path);
    } catch (error) {
      rmSync(path, { recursive: true, force: true });
      throw ioError(error, `make the directory of snapshot ${id}`);
    }
  }

  /** A directory for a snapshot that has no id yet, or a path for a file; disposing removes it, unless it was adopted. */
  unborn(
    kind: "directory" | "file" = "directory",
  ): AsyncDisposable & { readonly path: string; adopt(id: number): void } {
    const name = `new-${randomBytes(6).toString("hex")}`;
    const path = join(this.#root, name);
    this.#unborn.add(name);
    if (kind === "directory") mkdirSync(path, { mode: 0o700 });
    return {
      path,
      adopt: (id) => {
        this.#claim(id, () => renameSync(path, this.path(id)));
        this.#unborn.delete(name);
      },
      [Symbol.asyncDispose]: async () => {
        if (!this.#unborn.has(name)) return;
        await rm(path, { recursive: true, force: true });
        this.#unborn.delete(name);
      },
    };
  }

  /** Removes the directory of a snapshot whose record is gone. Wait for it, or don't: what goes wrong is left for `cleanup`. */
  remove(id: number): Promise<void> {
    return this.#later(() => rm(this.path(id), { recursive: true, force: true }));
  }

  /** Removes all that no record owns. */
  async cleanup(): Promise<void> {
    const orphans: string[] = [];
    let deadline = performance.now() + 4;
    for (const name of await readdir(this.#root)) {
      if (!this.#unborn.has(name) && !this.#records.owns(Number(name))) orphans.push(name);
      if (performance.now() > deadline) {
        await new Promise(setImmediate);
        deadline = performance.now() + 4;
      }
    }
    if (orphans.length === 0) return;
    await this.#later(async () => {
      for (const name of orphans) {
        const path = join(this.#root, name);
        // A number that a loss of power set back may belong to a new snapshot by now. Asked and moved in one turn of the event loop.
        if (this.#records.owns(Number(name))) continue;
        const doomed = name.startsWith("rm-") ? path : this.#doomed(name);
        try {
          if (doomed !== path) renameSync(path, doomed);
        } catch (error) {
          if (isErrno(error, "ENOENT")) continue;
          throw error;
        }
        await rm(doomed, { recursive: true, force: true });
      }
    });
  }

  /** Waits for the removals under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#removal.catch(() => undefined);
  }

  #later(work: () => Promise<void>): Promise<void> {
    const done = this.#removal
      .catch(() => undefined)
      .then(() => this.#records.durable())
      .then(work)
      .catch((error: unknown) => {
        throw ioError(error, `remove directories in "${this.#root}"`);
      });
    this.#removal = done;
    // Whoever waits gets the error; where nobody does, it is not to end the process.
    done.catch(() => undefined);
    return done;
  }

  #doomed(name: string): string {
    return join(this.#root, `rm-${name}-${randomBytes(4).toString("hex")}`);
  }

  /** Runs `make`; a directory of that name that is left from before a crash is put aside first. */
  #claim(id: number, make: () => void): void {
    try {
      make();
    } catch (error) {
      if (!isErrno(error, "EEXIST", "ENOTEMPTY", "EISDIR")) throw error;
      renameSync(this.path(id), this.#doomed(String(id)));
      make();
    }
  }
}
