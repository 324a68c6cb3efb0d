/**
 * Streams of a process that are named `cri://…`: its output goes into a log file and to the clients that are attached, its input comes from
 * these.
 *
 *   process ──pipe or terminal──► take ──► log file (see `log-lines`)
 *                                     └──► attached clients (see `attachment`)
 *   process ◄──pipe or terminal── write ◄─ attached clients
 *
 * Into a pipe clients write themselves if they can, and have a FIFO all the same, which tells of their end.
 */

import { failedPrecondition } from "@hull/errors";
import { close, setNonBlocking } from "@hull/sys/fd";
import { type PipePlace, placeOfPipe } from "@hull/sys/pipe-place";
import { moveAll } from "@hull/sys/stream";
import { Attachment, type ClientEnds } from "./attachment.ts";
import { CriLogFile } from "./log-file.ts";
import type { OutputName } from "./log-lines.ts";

/** What the names of the streams say. */
export interface CriTarget {
  /** The log; empty for none. */
  readonly path: string;
  /** See `LogLines`. */
  readonly maxLine: number;
}

/** One process's. */
export class CriStreams {
  readonly #log: CriLogFile | undefined;
  readonly #clients = new Set<Attachment>();
  readonly #open = new Set<OutputName>(["stdout", "stderr"]);
  #input: InputWriter | undefined;

  /** Opens the log. @throws the system's error */
  constructor({ path, maxLine }: CriTarget) {
    this.#log = path === "" ? undefined : new CriLogFile(path, maxLine);
  }

  /** What attached clients write goes to a descriptor from now on. @param options see `InputOptions` */
  connectInput(fd: number, options: InputOptions): void {
    this.#input = new InputWriter(fd, options);
  }

  /** Undefined if the process has no input, or none any more. */
  get input(): InputWriter | undefined {
    return this.#input;
  }

  /** Takes output; the bytes are lent. @returns when to bring more, if a client is too far behind */
  take(output: OutputName, chunk: Buffer): Promise<void> | undefined {
    this.#log?.take(output, chunk);
    if (this.#clients.size === 0) return undefined;
    const waits = [...this.#clients].map((client) => client.give(output, chunk)).filter((wait) => wait !== undefined);
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  /** An output has ended. With the last one the clients are told. */
  end(output: OutputName): void {
    if (!this.#open.delete(output)) return;
    this.#log?.end(output);
    if (this.#open.size === 0) for (const client of this.#clients) client.finish();
  }

  /** @throws the system's error */
  reopen(): void {
    this.#log?.reopen();
  }

  /** A client from now on, whose ends are kept, also when this fails. It is to be let go with `leave`. @throws FailedPrecondition when all output has ended */
  attach(ends: ClientEnds): Attachment {
    const client = new Attachment(ends);
    if (this.#open.size === 0) {
      client.end();
      throw failedPrecondition("the process has ended: there is nothing to attach to");
    }
    this.#clients.add(client);
    return client;
  }

  leave(client: Attachment): void {
    this.#clients.delete(client);
    client.end();
  }

  /** The process sees the end of its input. */
  closeInput(): void {
    this.#input?.close();
    this.#input = undefined;
  }

  close(): void {
    this.closeInput();
    this.end("stdout");
    this.end("stderr");
    this.#log?.close();
  }
}

/** How a process takes input. */
export interface InputOptions {
  /** The first client's end of input is the process's. */
  readonly endsWithClient: boolean;
  /** The descriptor is the caller's to close. */
  readonly lent?: boolean;
  /** Told when the process is to see the end of its input. */
  readonly onEnd?: () => void;
}

/** Writes what clients bring into a process's input. */
export class InputWriter {
  readonly endsWithClient: boolean;
  readonly #options: InputOptions;
  readonly #fd: number;
  readonly #stop = new AbortController();

  constructor(fd: number, options: InputOptions) {
    setNonBlocking(fd, true);
    this.#fd = fd;
    this.#options = options;
    this.endsWithClient = options.endsWithClient;
  }

  /** Where clients can write themselves; undefined for a terminal. */
  get place(): PipePlace | undefined {
    return placeOfPipe(this.#fd);
  }

  /**
   * Moves what comes from a FIFO to the process, no faster than it takes it, until the FIFO has no writer any more.
   *
   * @throws SysError (EPIPE when the process doesn't read any more); canceled
   */
  async take(from: number, signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#stop.signal]);
    await moveAll(from, this.#fd, { signal: either, keepAlive: false });
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    if (this.#options.lent !== true) close(this.#fd);
    this.#options.onEnd?.();
  }
}
