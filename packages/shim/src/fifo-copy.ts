/**
 * FIFOs that the shim copies from and to, with pipes as the process's own ends: CRIU can take a pipe's end with a process, and give a restored
 * one another in its place, but knows nothing of a FIFO outside of the container.
 *
 *   client ──FIFO──► shim ──pipe──► process ──pipe──► shim ──FIFO──► client
 *
 * The bytes stay in the kernel (splice(2)).
 */

import { existsSync } from "node:fs";
import { isErrno } from "@hull/sys/errno";
import { close, move, open, openFlags, pipe, setNonBlocking } from "@hull/sys/fd";
import { ready } from "@hull/sys/watch";
import { LateOutput } from "./late-output.ts";

/** What CRIU has found out of the kernel, written when that first went well since the boot (criu, include/kerndat.h). */
const criuRecord = "/run/criu.kdat";

/** Whether processes can be checkpointed on this host: CRIU is there, and has worked. The daemon has it try when it starts. */
export function canCheckpoint(): boolean {
  return existsSync(criuRecord);
}

/** More than a pipe holds. */
const most = 1 << 20;
/** So long a copy that never waits may go on before everything else gets its turn, in milliseconds. */
const turn = 5;

/** Moves all from one non-blocking pipe or FIFO to another, until the first ends or nobody reads the second. @throws SysError; canceled */
async function moveAll(from: number, to: number, signal: AbortSignal): Promise<void> {
  // The shim lives for the container, not for its streams.
  const options = { signal, keepAlive: false };
  let since = performance.now();
  try {
    for (;;) {
      signal.throwIfAborted();
      const count = move("splice", from, to, most);
      if (count === 0) return;
      if (count === undefined) {
        await ready(from, "read", options);
        await ready(to, "write", options);
      } else if (performance.now() - since > turn) await new Promise((resolve) => setImmediate(resolve));
      else continue;
      since = performance.now();
    }
  } catch (error) {
    if (!isErrno(error, "EPIPE")) throw error;
  }
}

/** What a client writes into a FIFO, for a process. */
export class CopiedInput {
  /** Where the process reads; closed by whoever hands it over. */
  readonly readEnd: number;
  /** A writing end of the FIFO, before whose closing clients may come and go; closed by whoever made this. */
  readonly clientEnd: number;
  readonly #stop = new AbortController();

  /** @throws the system's error */
  constructor(path: string) {
    const fifo = open(path, openFlags.readOnly | openFlags.nonBlocking);
    this.clientEnd = open(path, openFlags.writeOnly | openFlags.nonBlocking);
    const { read, write } = pipe();
    this.readEnd = read;
    setNonBlocking(write, true);
    // An error is that of a copy which was stopped.
    moveAll(fifo, write, this.#stop.signal)
      .catch(() => {})
      .finally(() => {
        close(fifo);
        close(write);
      });
  }

  close(): void {
    this.#stop.abort();
  }
}

/** What a process writes, for whoever reads a FIFO; kept for a while if that is nobody yet. */
export class CopiedOutput {
  /** Where the process writes; closed by whoever hands it over. */
  readonly writeEnd: number;
  /** Resolves when nobody writes any more and all is in the FIFO. */
  readonly drained: Promise<void>;
  readonly #stop = new AbortController();
  /** Both ends of the copy, while it goes on. */
  #copy: { readonly from: number; readonly to: number } | undefined;
  #late: LateOutput | undefined;

  /** @throws the system's error */
  constructor(path: string) {
    const fifo = open(path, openFlags.readWrite | openFlags.nonBlocking);
    const { read, write } = pipe();
    this.writeEnd = write;
    this.#copy = { from: read, to: fifo };
    setNonBlocking(read, true);
    this.drained = moveAll(read, fifo, this.#stop.signal).then(
      () => {
        this.#ended(read);
        this.#late = LateOutput.keep(fifo);
      },
      () => {
        this.#ended(read);
        close(fifo);
      },
    );
  }

  /**
   * Moves what there is, as far as the FIFO takes it. To be called before the process's end is told: clients such as containerd's before
   * version 1.7 stop reading when they are.
   */
  flush(): void {
    if (this.#copy === undefined) return;
    try {
      while (move("splice", this.#copy.from, this.#copy.to, most));
    } catch (error) {
      // The copy itself finds it as well.
      if (!isErrno(error, "EPIPE")) throw error;
    }
  }

  #ended(from: number): void {
    this.#copy = undefined;
    close(from);
  }

  close(): void {
    this.#stop.abort();
    this.#late?.[Symbol.dispose]();
  }
}
