/** Files of the kernel's that are read often and are short: those of control groups and of /proc. */

import { errno, SysError } from "./errno.ts";
import { O_CLOEXEC } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";

/** A directory's path as `SmallFiles` takes it: UTF-8 with a slash behind. */
export type Directory = Uint8Array;

/** A file's name as `SmallFiles` takes it: with a NUL behind. */
export type FileName = Uint8Array;

/** Makes a path to be used often. */
export const directoryName = (path: string): Directory => Buffer.from(path.endsWith("/") ? path : `${path}/`);

/** Makes a name to be used often. */
export const fileName = (name: string): FileName => Buffer.from(`${name}\0`);

/** A seq_file ends a read before a record that its page has no room for (fs/seq_file.c); the records that we read are shorter. */
const longestRecord = 2048;

/** What says that there is no such file, or no longer. */
const absent: readonly number[] = [errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.ESRCH, errno.ENOTDIR];

const zero = 0x30;
const newline = 0x0a;

/**
 * Reads small files into one buffer, a third cheaper than by node:fs: no path is encoded and no memory taken for each. A call is done
 * when it returns, so one reader serves everybody of a thread.
 */
export class SmallFiles {
  readonly #path = new Uint8Array(4096);
  #content = Buffer.allocUnsafe(8192);

  /** A file's text as latin1; undefined if there is none. @throws SysError for what else goes wrong */
  text(directory: Directory, file: FileName): string | undefined {
    const length = this.#read(directory, file);
    return length === undefined ? undefined : this.#content.toString("latin1", 0, length);
  }

  /** The number that a file begins with; `max` for that word, undefined without a file or a number. @throws SysError as `text` */
  number(directory: Directory, file: FileName, max?: bigint): bigint | undefined {
    const length = this.#read(directory, file);
    if (length === undefined) return undefined;
    let value = 0;
    let at = 0;
    for (; at < length; at++) {
      const digit = (this.#content[at] ?? newline) - zero;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === 0) return this.#content.toString("latin1", 0, length).trim() === "max" ? max : undefined;
    return Number.isSafeInteger(value) ? BigInt(value) : BigInt(this.#content.toString("latin1", 0, at));
  }

  #read(directory: Directory, file: FileName): number | undefined {
    const path = this.#path;
    if (directory.length + file.length > path.length) return undefined;
    path.set(directory);
    path.set(file, directory.length);
    const fd = libc.open(path, O_CLOEXEC, 0);
    if (fd === -1) return this.#failed("open", directory, file);
    try {
      let length = 0;
      for (;;) {
        const count = libc.read(fd, this.#content.subarray(length), this.#content.length - length);
        if (count === -1) return this.#failed("read", directory, file);
        length += count;
        if (count < this.#content.length - longestRecord && count < longestRecord) return length;
        if (this.#content.length - length >= longestRecord) continue;
        const larger = Buffer.allocUnsafe(this.#content.length * 2);
        larger.set(this.#content.subarray(0, length));
        this.#content = larger;
      }
    } finally {
      libc.close(fd);
    }
  }

  #failed(call: string, directory: Directory, file: FileName): undefined {
    const error = lastErrno();
    if (absent.includes(error)) return undefined;
    const path = `${Buffer.from(directory).toString()}${Buffer.from(file.subarray(0, -1)).toString()}`;
    throw new SysError(error, call, `"${path}"`);
  }
}
