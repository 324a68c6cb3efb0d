/**
 * A process's terminal. The OCI runtime makes the pair inside the container and sends its controlling side over a socket; the shim copies
 * between it and the client's FIFOs, each way as fast as the reader takes it.
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { close, open, openFlags, setNonBlocking } from "@hull/sys/fd";
import { copyStream, readStream } from "@hull/sys/stream";
import { ConsoleSocket, setTerminalSize } from "@hull/sys/terminal";
import { endOutput, fifoOf, parseStream } from "./stdio.ts";
import type { ProcessStreams } from "./streams.ts";

/**
 * Has a terminal made: `start` is given the path of a socket, and has the runtime send a terminal there.
 *
 * @returns the terminal's controlling side, the caller's to close.
 */
export async function receiveTerminal(start: (socket: string) => Promise<void>): Promise<number> {
  // Not in the bundle, whose path may be longer than a socket's can be.
  const directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-console-"));
  const stop = new AbortController();
  try {
    using socket = new ConsoleSocket(join(directory, "s"));
    const receiving = socket.receive({ signal: stop.signal });
    // If the runtime fails, its reason is the better one.
    receiving.catch(() => {});
    try {
      await start(socket.path);
    } catch (error) {
      stop.abort();
      await receiving.then(close, () => {});
      throw error;
    }
    return await receiving;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The client's side of a terminal: its FIFOs, or a file that it logs to, opened before the process is made, so that a bad path fails early. */
export class TerminalStreams implements ProcessStreams {
  readonly #stop = new AbortController();
  readonly #input: number | undefined;
  #inputEnd: number | undefined;
  #output: number | undefined;
  /** The output is a file, which nobody has to be there for to read. */
  #logs = false;
  #kept: number | undefined;
  #terminal: number | undefined;
  #copies: Promise<unknown> = Promise.resolve();

  /** @throws InvalidArgument, Unimplemented or the system's error for a name that can't be opened */
  constructor(names: { stdin: string; stdout: string }) {
    using undo = new DisposableStack();
    const opened = (path: string, flags: number, mode?: number): number => {
      const fd = open(path, flags | openFlags.nonBlocking, mode);
      undo.defer(() => close(fd));
      return fd;
    };
    const input = fifoOf(names.stdin);
    if (input !== undefined) {
      this.#input = opened(input, openFlags.readOnly);
      this.#inputEnd = opened(input, openFlags.writeOnly);
    }
    const output = parseStream(names.stdout);
    if (output.kind === "file") {
      this.#logs = true;
      mkdirSync(dirname(output.path), { recursive: true });
      this.#output = opened(output.path, openFlags.writeOnly | openFlags.create | openFlags.append, 0o644);
    } else {
      const fifo = fifoOf(names.stdout);
      if (fifo !== undefined) this.#output = opened(fifo, openFlags.readWrite);
    }
    undo.move();
  }

  /** Starts copying; the terminal is this object's from here on. */
  connect(terminal: number): void {
    setNonBlocking(terminal, true);
    this.#terminal = terminal;
    const { signal } = this.#stop;
    const input = this.#input === undefined ? Promise.resolve(0) : copyStream(this.#input, terminal, { signal });
    const output = this.#output === undefined ? drop(terminal, signal) : copyStream(terminal, this.#output, { signal });
    const copies = output.finally(() => {
      this.#endOutput();
      // Whoever still types has nobody to type to.
      this.#stop.abort();
    });
    // Copies end by an error when they are stopped, or the terminal is gone: there is nothing more to copy then.
    this.#copies = Promise.allSettled([input, copies]);
  }

  /** @throws SysError if the terminal is gone */
  resize(width: number, height: number): void {
    if (this.#terminal !== undefined) setTerminalSize(this.#terminal, { columns: width, rows: height });
  }

  closeStdin(): void {
    if (this.#inputEnd !== undefined) close(this.#inputEnd);
    this.#inputEnd = undefined;
  }

  /** The copy of the output ends by itself, with the last process that has the terminal open. */
  finish(): void {
    this.closeStdin();
  }

  async drained(): Promise<void> {
    await this.#copies;
  }

  close(): void {
    this.#stop.abort();
    this.closeStdin();
    this.#endOutput();
    for (const fd of [this.#input, this.#terminal, this.#kept]) if (fd !== undefined) close(fd);
    this.#terminal = undefined;
    this.#kept = undefined;
  }

  #endOutput(): void {
    if (this.#output !== undefined) {
      if (this.#logs) close(this.#output);
      else this.#kept = endOutput(this.#output);
    }
    this.#output = undefined;
  }
}

async function drop(terminal: number, signal: AbortSignal): Promise<void> {
  for await (const _ of readStream(terminal, { signal }));
}
