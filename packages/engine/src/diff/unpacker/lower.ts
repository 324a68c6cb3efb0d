/**
 * The layers below the one that is unpacked, for an overlay that isn't mounted: where the layer leaves out a directory that it
 * puts something into, the directory is to look as it does below.
 */

import { type BigIntStats, constants, fstatSync, readdirSync } from "node:fs";
import { arch } from "@hull/sys/arch";
import { errno, SysError } from "@hull/sys/errno";
import { close, Descriptor, open } from "@hull/sys/fd";
import { getAttribute } from "@hull/sys/files";
import { lastErrno, libc } from "@hull/sys/libc";
import { isWhiteoutDevice } from "./disk.ts";
import { display } from "./paths.ts";

const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

/** A directory or regular file in a lower layer, open for reading. */
export interface LowerFile extends Disposable {
  readonly fd: number;
  readonly stat: BigIntStats;
}

/** Directories of an overlay's lower layers, the topmost first. They are opened before the process is shut into its root. */
export class LowerLayers {
  readonly #roots: readonly number[];
  /** What the roots of all layers hold, deletions included. */
  readonly names: ReadonlySet<string>;
  /** The attribute that marks a directory as covering those below it. */
  readonly #opaque: string;

  constructor(directories: readonly string[], opaque: string) {
    this.#roots = directories.map((directory) => open(directory, O_PATH | arch.O_DIRECTORY));
    // A descriptor alone doesn't list, so this can't wait until someone asks.
    this.names = new Set(
      directories.flatMap((directory) =>
        readdirSync(directory, { encoding: "buffer" }).map((name) => name.toString("latin1")),
      ),
    );
    this.#opaque = opaque;
  }

  /**
   * What an overlay of these layers shows at `path`, if it is a directory or a regular file, and no link leads there.
   *
   * Goes part by part through all layers at once, as overlayfs does: a whiteout or anything that isn't a directory ends the
   * search below it, an opaque directory ends it behind itself. No link is followed.
   */
  find(path: string): LowerFile | undefined {
    using opened = new DisposableStack();
    let directories = this.#roots;
    let found: { directory: number; part: string; stat: BigIntStats } | undefined;
    for (const part of path.split("/")) {
      const next: number[] = [];
      found = undefined;
      for (const directory of directories) {
        // Names the file without opening it: a device isn't touched that way.
        const fd = openAt(directory, part, O_PATH);
        if (fd === undefined) continue;
        opened.defer(() => close(fd));
        const stat = fstatSync(fd, { bigint: true });
        if (!stat.isDirectory()) {
          if (next.length === 0 && !isWhiteoutDevice(stat)) found = { directory, part, stat };
          break;
        }
        found ??= { directory, part, stat };
        next.push(fd);
        if (this.#isOpaque(fd)) break;
      }
      directories = next;
      if (found === undefined) return undefined;
    }
    if (found === undefined || !(found.stat.isDirectory() || found.stat.isFile())) return undefined;
    const { directory, part, stat } = found;
    const fd = openAt(directory, part, constants.O_RDONLY);
    return fd === undefined ? undefined : { fd, stat, [Symbol.dispose]: () => close(fd) };
  }

  #isOpaque(directory: number): boolean {
    const fd = openAt(directory, ".", constants.O_RDONLY | arch.O_DIRECTORY);
    if (fd === undefined) return false;
    using _ = new Descriptor(fd);
    return getAttribute(fd, this.#opaque)?.[0] === 0x79; // "y"
  }
}

function openAt(directory: number, part: string, flags: number): number | undefined {
  const name = Buffer.from(`${part}\0`, "latin1");
  const fd = libc.openat(directory, name, flags | arch.O_NOFOLLOW | O_CLOEXEC, 0);
  if (fd >= 0) return fd;
  const error = lastErrno();
  if (error === errno.ENOENT || error === errno.ENOTDIR) return undefined;
  throw new SysError(error, "openat", `"${display(part)}" in a lower layer`);
}
