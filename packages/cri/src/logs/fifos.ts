/** Logs and clients of containers whose shim is another's: it writes into FIFOs, which are read here. */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { AttachedStreams, StreamWishes } from "@hull/engine/runtime/task-streams";
import type { OutputName } from "@hull/shim/cri/log-lines";
import { participate } from "@hull/shim/cri/participate";
import { CriStreams } from "@hull/shim/cri/streams";
import { pump } from "@hull/shim/pump";
import { isErrno } from "@hull/sys/errno";
import { close, Descriptor, open, openFifo, openFlags, pipe } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import { openPlace } from "@hull/sys/pipe-place";
import { ready } from "@hull/sys/watch";
import type { ContainerStreams, StreamsOfContainer } from "./index.ts";

type Fifos = Pick<StreamsOfContainer, "directory" | "stdin" | "tty">;

/** What containerd's clients name them. */
export function fifoNames({ directory, stdin, tty }: Fifos): { stdin: string; stdout: string; stderr: string } {
  const path = (name: string): string => join(directory, name);
  return { stdin: stdin ? path("stdin") : "", stdout: path("stdout"), stderr: tty ? "" : path("stderr") };
}

/** Makes those that aren't there. @throws SysError */
export function makeFifos(fifos: Fifos): void {
  mkdirSync(fifos.directory, { recursive: true, mode: 0o700 });
  for (const path of Object.values(fifoNames(fifos)).filter((name) => name !== "")) {
    try {
      makeFifo(path, 0o700);
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    }
  }
}

/** Removes them, and their directory. */
export function closeFifos({ directory }: Fifos): void {
  rmSync(directory, { recursive: true, force: true });
}

/** What a process has left running may keep its output open: so long it is waited for, as shims do themselves. */
const drainMs = 10_000;

/** See `ContainerStreams`. */
export class FifoStreams implements ContainerStreams {
  readonly #streams: CriStreams;
  readonly #stop = new AbortController();
  readonly #copies: Promise<void>[] = [];

  /** @param endInput tells the shim that no more input comes */
  constructor(container: StreamsOfContainer, endInput: () => Promise<void>) {
    const { logPath: path, maxLine, stdin, stdinOnce, tty } = container;
    this.#streams = new CriStreams({ path, maxLine });
    using undo = new DisposableStack();
    undo.defer(() => this.close());
    const names = fifoNames(container);
    this.#read("stdout", names.stdout);
    if (tty) this.#streams.end("stderr");
    else this.#read("stderr", names.stderr);
    if (stdin) {
      // To read as well, so that it can be opened before the shim has.
      const fd = openFifo(names.stdin, { nonBlocking: true });
      // The shim holds the FIFO's writing end, too. That it may be gone is no matter then.
      const onEnd = (): void => void endInput().catch(() => {});
      this.#streams.connectInput(fd, { endsWithClient: stdinOnce && !tty, onEnd });
    }
    undo.move();
  }

  #read(output: OutputName, path: string): void {
    const fd = open(path, openFlags.readOnly | openFlags.nonBlocking);
    this.#copies.push(this.#copy(output, fd).finally(() => close(fd)));
  }

  async #copy(output: OutputName, fd: number): Promise<void> {
    const { signal } = this.#stop;
    try {
      // Before there is a writer a read would say that this is the end.
      await ready(fd, "read", { signal });
      await pump(fd, (chunk) => this.#streams.take(output, chunk), { signal });
    } catch {
      // Stopped.
    }
    this.#streams.end(output);
  }

  async reopenLog(): Promise<void> {
    this.#streams.reopen();
  }

  /** As hull's own shim does, by pipes instead of FIFOs. */
  async attach(
    wishes: StreamWishes,
    { signal = this.#stop.signal }: { signal?: AbortSignal } = {},
  ): Promise<AttachedStreams> {
    const stop = new AbortController();
    using undo = new DisposableStack();
    const make = (wanted: boolean): { read?: Descriptor; write?: Descriptor } => {
      if (!wanted) return {};
      const { read, write } = pipe({ nonBlocking: true });
      return { read: undo.use(new Descriptor(read)), write: undo.use(new Descriptor(write)) };
    };
    const [stdin, stdout, stderr] = [make(wishes.stdin), make(wishes.stdout), make(wishes.stderr)];
    const ends = { stdin: stdin.read?.release(), stdout: stdout.write?.release(), stderr: stderr.write?.release() };
    const { over, input } = participate(this.#streams, ends, AbortSignal.any([signal, stop.signal]));
    // Before the one that tells of the end.
    const direct = input === undefined ? undefined : openPlace(input);
    if (direct !== undefined) undo.use(direct);
    const kept = undo.move();
    return {
      ...{ stdin: (direct ?? stdin.write)?.fd, stdout: stdout.read?.fd, stderr: stderr.read?.fd, over },
      endInput: () => {
        direct?.[Symbol.dispose]();
        stdin.write?.[Symbol.dispose]();
      },
      async [Symbol.asyncDispose]() {
        stop.abort();
        kept.dispose();
      },
    };
  }

  async drained(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, drainMs);
    await Promise.race([Promise.all(this.#copies), late.promise]);
    clearTimeout(timer);
  }

  close(): void {
    this.#stop.abort();
    this.#streams.close();
  }
}
