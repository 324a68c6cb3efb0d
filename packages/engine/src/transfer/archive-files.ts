import { posix } from "node:path";

/** A file of an archive, whose bytes are in the content store. */
export interface ArchiveFile {
  digest: string;
  size: number;
}

const maxLinks = 16;

/** The files of an archive by path; links lead to the files they name. Nothing of this is on disk, so no link can lead out. */
export class ArchiveFiles {
  readonly #files = new Map<string, ArchiveFile>();
  readonly #links = new Map<string, string>();

  get size(): number {
    return this.#files.size;
  }

  /** A later file of the same path takes the place of the earlier one, as tar has it. */
  add(path: string, file: ArchiveFile): void {
    this.#links.delete(path);
    this.#files.set(path, file);
  }

  link(path: string, target: string, type: "symlink" | "hardlink"): void {
    const from = type === "symlink" ? posix.dirname(path) : ".";
    this.#links.set(path, posix.join(from, target));
  }

  /** The file at a path, over links. */
  get(path: string): ArchiveFile | undefined {
    let current = posix.normalize(path);
    for (let count = 0; count < maxLinks; count++) {
      const next = this.#links.get(current);
      if (next === undefined) return this.#files.get(current);
      current = next;
    }
    return undefined;
  }
}
