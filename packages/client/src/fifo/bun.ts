import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canceled, isCode } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Descriptor, open, openFifo, openFlags, setPipeCapacity } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import { readStream, writeAll } from "@hull/sys/stream";
import { type FifoEnd, type Fifos, rootFolder } from "./index.ts";

/** More than the 64 KiB of a new FIFO: fewer turns for the same bytes. Not so much that they leave the processor's cache meanwhile. */
const capacity = 512 * 1024;
const chunkSize = 256 * 1024;

export const { makeFifos, openOutput, openInput, removeFifoFolder }: Fifos = {
  async makeFifos(names) {
    const parent = process.getuid?.() === 0 ? rootFolder : tmpdir();
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    const folder = mkdtempSync(join(parent, "p"));
    for (const name of names) makeFifo(join(folder, name), 0o600);
    return folder;
  },
  openOutput(path) {
    const fd = open(path, openFlags.readOnly | openFlags.nonBlocking);
    enlarge(fd);
    return new End(fd);
  },
  openInput(path) {
    const fd = openFifo(path, { nonBlocking: true });
    enlarge(fd);
    return new End(fd);
  },
  removeFifoFolder: (folder) => rmSync(folder, { recursive: true, force: true }),
};

function enlarge(fd: number): void {
  try {
    setPipeCapacity(fd, capacity);
  } catch (error) {
    // The user's share of pipe memory is used up; the size it has will do.
    if (!isErrno(error, "EPERM")) throw error;
  }
}

class End implements FifoEnd {
  readonly #fifo: Descriptor;
  readonly #stop = new AbortController();

  constructor(fd: number) {
    this.#fifo = new Descriptor(fd);
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* readStream(this.#fifo.fd, { signal: this.#stop.signal, chunkSize });
    } catch (error) {
      if (!isCode(error, "canceled")) throw error;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    await writeAll(this.#fifo.fd, bytes, { signal: this.#stop.signal });
  }

  async finish(): Promise<void> {
    this.close();
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(canceled("the stream is closed"));
    this.#fifo[Symbol.dispose]();
  }
}
