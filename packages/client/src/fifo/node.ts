import { execFile } from "node:child_process";
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type FifoEnd, type Fifos, rootFolder } from "./index.ts";

const run = promisify(execFile);

export const { makeFifos, openOutput, openInput, removeFifoFolder }: Fifos = {
  async makeFifos(names) {
    const parent = process.getuid?.() === 0 ? rootFolder : tmpdir();
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    const folder = mkdtempSync(join(parent, "p"));
    // Node has no call for it; coreutils are on every host with containers.
    await run("mkfifo", ["-m", "0600", "--", ...names.map((name) => join(folder, name))]);
    return folder;
  },
  openOutput: (path) => new End(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), "readable"),
  // Both ways: it then never waits for a reader.
  openInput: (path) => new End(openSync(path, constants.O_RDWR | constants.O_NONBLOCK), "writable"),
  removeFifoFolder: (folder) => rmSync(folder, { recursive: true, force: true }),
};

class End implements FifoEnd {
  readonly #side: "readable" | "writable";
  /** Ours to close as long as no socket has it. */
  #fd: number | undefined;
  #made: Socket | undefined;

  constructor(fd: number, side: "readable" | "writable") {
    this.#fd = fd;
    this.#side = side;
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    const socket = this.#socket();
    try {
      for await (const chunk of socket) yield chunk as Uint8Array;
    } catch (error) {
      if (!socket.destroyed) throw error;
    }
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket().write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  finish(): Promise<void> {
    // Writes are told of when the kernel has them.
    this.close();
    return new Promise((resolve) => {
      if (this.#made === undefined || this.#made.closed) resolve();
      else this.#made.once("close", () => resolve());
    });
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#made?.destroy();
  }

  /** Made late: a socket begins to read when it is made. */
  #socket(): Socket {
    if (this.#made !== undefined) return this.#made;
    if (this.#fd === undefined) throw new Error("the stream is closed");
    const side = this.#side;
    this.#made = new Socket({ fd: this.#fd, readable: side === "readable", writable: side === "writable" });
    this.#fd = undefined;
    // Told to whoever reads or writes.
    this.#made.on("error", () => {});
    return this.#made;
  }
}
