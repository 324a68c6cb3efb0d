import { canceled, isCode } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Descriptor, openFifo, openFlags, read, setPipeCapacity, open as sysOpen } from "@hull/sys/fd";
import { readStream, writeAll } from "@hull/sys/stream";
import { ready, type WaitOptions } from "@hull/sys/watch";
import type { StdioPaths } from "./fifos.ts";

/** Where a process's output goes. Resolves when more may be written. */
export type Sink = (chunk: Uint8Array) => Promise<void>;

/** What a process is connected to here. */
export interface Streams {
  /** Its input; none leaves its stdin open and silent. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly stdout?: Sink;
  readonly stderr?: Sink;
}

interface Input {
  readonly fifo: Descriptor;
  readonly from: AsyncIterable<Uint8Array>;
}

/** More than the 64 KiB of a new FIFO: fewer turns for the same bytes. */
const capacity = 1024 * 1024;

/**
 * The copying between a process's FIFOs and this program's streams.
 *
 *   open (before the task is created: its maker waits for the other end) ──► start ──► output ends with its writers ──► close
 */
export class Pump implements Disposable {
  readonly #fds: Descriptor[] = [];
  readonly #stop = new AbortController();
  readonly #stdin: Input | undefined;
  readonly #outputs: { fd: number; to: Sink }[] = [];
  #copies: Promise<unknown> = Promise.resolve();

  /** @throws SysError */
  constructor({ stdin, stdout, stderr }: StdioPaths, streams: Streams) {
    try {
      // Open for both ways, so that it never waits for a reader.
      if (stdin !== "" && streams.stdin !== undefined)
        this.#stdin = { fifo: this.#own(openFifo(stdin, { nonBlocking: true })), from: streams.stdin };
      if (stdout !== "" && streams.stdout !== undefined) this.#addOutput(stdout, streams.stdout);
      if (stderr !== "" && streams.stderr !== undefined) this.#addOutput(stderr, streams.stderr);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Begins to copy. To be called when the process has been created: before that an output has no writer, and would end at once. The end
   * of the input is told by `closeStdin` once the process has `started`: until then nobody else may hold what is in the FIFO.
   */
  start(started: Promise<void>, closeStdin: () => Promise<void>): void {
    const outputs = this.#outputs.map(({ fd, to }) => this.#copyOut(fd, to));
    this.#copies = Promise.all(outputs);
    this.#copies.catch(() => {});
    if (this.#stdin !== undefined) this.#copyIn(this.#stdin, started, closeStdin).catch(() => {});
  }

  /** Resolves when all output has been written, which is after the last process that holds it has ended. */
  async drained(): Promise<void> {
    await this.#copies;
  }

  /** Ends the copying. */
  [Symbol.dispose](): void {
    this.#stop.abort(canceled("the streams are closed"));
    for (const fd of this.#fds.splice(0)) fd[Symbol.dispose]();
  }

  #own(fd: number): Descriptor {
    const descriptor = new Descriptor(fd);
    this.#fds.push(descriptor);
    return descriptor;
  }

  #addOutput(path: string, to: Sink): void {
    const { fd } = this.#own(sysOpen(path, openFlags.readOnly | openFlags.nonBlocking));
    try {
      setPipeCapacity(fd, capacity);
    } catch (error) {
      // The user's share of pipe memory is used up; the size it has will do.
      if (!isErrno(error, "EPERM")) throw error;
    }
    this.#outputs.push({ fd, to });
  }

  async #copyOut(fd: number, to: Sink): Promise<void> {
    try {
      for await (const chunk of readStream(fd, { signal: this.#stop.signal, chunkSize: 256 * 1024 })) await to(chunk);
    } catch (error) {
      if (!isCode(error, "canceled")) throw error;
    }
  }

  async #copyIn({ fifo, from }: Input, started: Promise<void>, closeStdin: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    for await (const chunk of from) {
      if (signal.aborted) return;
      await writeAll(fifo.fd, chunk, { signal });
    }
    await started;
    // As long as anyone has it open for writing, its reader sees no end.
    fifo[Symbol.dispose]();
    await closeStdin();
  }
}

/**
 * What comes in on a descriptor of this program that may be a terminal, a pipe or a file, without changing how it behaves for the
 * others that share it.
 */
export async function* readShared(fd: number, options: WaitOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = new Uint8Array(64 * 1024);
  let pollable = true;
  for (;;) {
    if (pollable) {
      try {
        await ready(fd, "read", options);
      } catch (error) {
        if (isCode(error, "canceled")) return;
        // A file or /dev/null is always ready, and can't be waited for.
        if (!isErrno(error, "EPERM")) throw error;
        pollable = false;
      }
    }
    const count = readSome(fd, buffer);
    if (count === 0) return;
    if (count !== undefined) yield buffer.slice(0, count);
  }
}

function readSome(fd: number, buffer: Uint8Array): number | undefined {
  try {
    return read(fd, buffer);
  } catch (error) {
    // A terminal that was closed, or is another's now.
    if (isErrno(error, "EIO")) return 0;
    throw error;
  }
}
