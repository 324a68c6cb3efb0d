import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { SysError } from "@hull/sys/errno";
import { lastErrno, libc } from "@hull/sys/libc";
import { mountInfo, unmount } from "@hull/sys/mount";
import { runProgram } from "../support/process.ts";

/** EXT4_IOC_SHUTDOWN, and its flag for "without writing the journal": Linux, fs/ext4/ext4.h and include/uapi/linux/ext4.h. */
const shutdownRequest = 0x8004587d;
const withoutJournal = 2;

/**
 * A file system of a test's own, in a file, from which the power can be taken: what wasn't synced by then is lost, as the journal has it.
 *
 *   create ──► mounted ──losePower──► (nothing can be read or written) ──restore──► mounted, with what was on disk
 */
export class LossyDisk implements AsyncDisposable {
  readonly #file: string;
  readonly #target: string;

  private constructor(file: string, target: string) {
    this.#file = file;
    this.#target = target;
  }

  /** @param size bytes @throws Error if this host can't mount a file */
  static async create(file: string, target: string, size: number): Promise<LossyDisk> {
    writeFileSync(file, "");
    truncateSync(file, size);
    await must("/usr/sbin/mkfs.ext4", "-q", "-F", file);
    mkdirSync(target, { recursive: true });
    const disk = new LossyDisk(file, target);
    await disk.restore();
    return disk;
  }

  losePower(): void {
    const directory = openSync(this.#target, "r");
    try {
      const flags = new Uint8Array(new Uint32Array([withoutJournal]).buffer);
      if (libc.ioctl(directory, shutdownRequest, flags) === -1) {
        throw new SysError(lastErrno(), "ioctl", `EXT4_IOC_SHUTDOWN of "${this.#target}"`);
      }
    } finally {
      closeSync(directory);
    }
  }

  /** Mounts it; after a loss, what still hangs on it has to be gone. */
  async restore(): Promise<void> {
    this.#unmount();
    // Whatever still has it mounted elsewhere keeps the dead file system alive.
    for (let attempt = 0; this.#isInUse(); attempt++) {
      if (attempt === 400) throw new Error(`"${this.#file}" is still mounted somewhere`);
      await Bun.sleep(50);
    }
    await must("/usr/bin/mount", "-o", "loop", this.#file, this.#target);
  }

  #isInUse(): boolean {
    return readdirSync("/sys/block").some((name) => {
      const backing = `/sys/block/${name}/loop/backing_file`;
      return existsSync(backing) && readFileSync(backing, "utf8").trim() === this.#file;
    });
  }

  #unmount(): void {
    if (mountInfo().some(({ target }) => target === this.#target)) unmount(this.#target);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unmount();
  }
}

async function must(...command: string[]): Promise<void> {
  const { status, stderr } = await runProgram(command);
  if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}
