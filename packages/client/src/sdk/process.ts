import { isCode } from "@hull/errors";
import type { Process as ApiProcess } from "../tasks.ts";
import type { Output } from "./output.ts";
import { type SignalName, signalNumber } from "./signals.ts";
import type { Stdio } from "./stdio.ts";

/** How a process ended. */
export interface Exit {
  /** Its status; 128 and the signal's number if a signal ended it. */
  readonly code: number;
  readonly at: Date;
}

/** All that a process said. */
export interface Collected extends Exit {
  readonly stdout: string;
  readonly stderr: string;
  /** True if there was more than the limit. */
  readonly truncated: boolean;
}

/**
 * A process in a container.
 *
 *   started ──► stdin, stdout, stderr … kill, resize ──► exit ──► disposed of
 */
export class Process implements AsyncDisposable {
  /** Resolves when it has ended; output may still be on its way. */
  readonly exit: Promise<Exit>;
  readonly #process: ApiProcess;
  readonly #stdio: Stdio;
  #ended = false;
  #removed: Promise<void> | undefined;

  protected constructor(process: ApiProcess, stdio: Stdio, exit: Promise<Exit>) {
    this.#process = process;
    this.#stdio = stdio;
    this.exit = exit.finally(() => {
      this.#ended = true;
    });
    // Whoever doesn't ask for it isn't told by a rejection that nobody handles.
    this.exit.catch(() => {});
  }

  /** Starts a process that was made. If it doesn't start, it is taken away. */
  protected static async begin(process: ApiProcess, stdio: Stdio): Promise<{ exit: Promise<Exit> }> {
    // Asked before the start, so that no end is missed.
    const exit = exitOf(process);
    exit.catch(() => {});
    try {
      if (process.execId === "") stdio.connect();
      await process.start();
      stdio.connect();
      stdio.started(() => ignoring("notFound", process.closeStdin()));
      return { exit };
    } catch (error) {
      stdio.close(error);
      await process.delete().catch(() => {});
      throw error;
    }
  }

  /** Process id on the host. */
  get pid(): number {
    return this.#process.pid;
  }

  get stdin(): WritableStream<Uint8Array | string> {
    return this.#stdio.stdin;
  }

  get stdout(): Output {
    return this.#stdio.stdout;
  }

  /** Empty for a process with a terminal, which writes all to stdout. */
  get stderr(): Output {
    return this.#stdio.stderr;
  }

  /** Sends a signal, SIGTERM unless told. One that has ended takes none, and that is fine. */
  async kill(signal: SignalName | number = "SIGTERM"): Promise<void> {
    await ignoring("notFound", this.#process.kill(signalNumber(signal)));
  }

  /** Tells the process's terminal its size. */
  async resize({ columns, rows }: { columns: number; rows: number }): Promise<void> {
    await this.#process.resize(columns, rows);
  }

  /**
   * Reads all output, waits for the end, and gives both.
   * @param limit bytes of stdout, and of stderr, that are kept; the rest is dropped
   */
  async collect({ limit = Number.POSITIVE_INFINITY } = {}): Promise<Collected> {
    const [stdout, stderr, { code, at }] = await Promise.all([
      this.stdout.bytes({ limit }),
      this.stderr.bytes({ limit }),
      this.exit,
    ]);
    const text = ({ bytes }: { bytes: Uint8Array }): string => new TextDecoder().decode(bytes);
    return { code, at, stdout: text(stdout), stderr: text(stderr), truncated: stdout.truncated || stderr.truncated };
  }

  /** Ends it, if it hasn't, and takes it away. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#removed ??= this.#remove();
    await this.#removed;
  }

  async #remove(): Promise<void> {
    if (!this.#ended) {
      await ignoring("notFound", this.#process.kill(9, { all: this.#process.execId === "" }));
      await this.exit.catch(() => {});
    }
    this.#stdio.close(new Error("the process has been taken away"));
    await ignoring("notFound", this.#process.delete());
  }
}

/** How a process is asked to end. */
export interface StopOptions {
  /** How long it has until it is killed, ms: 10,000 unless told. */
  readonly timeoutMs?: number;
  /** `SIGTERM` unless told. */
  readonly signal?: SignalName | number;
}

/** Asks a process to end, and kills it if it hasn't in time. */
export async function stopProcess(
  { kill, exit }: { kill(signal: SignalName | number): Promise<void>; exit: Promise<Exit> },
  { timeoutMs = 10_000, signal = "SIGTERM" }: StopOptions,
): Promise<Exit> {
  await kill(signal);
  const timer = setTimeout(() => void kill("SIGKILL").catch(() => {}), timeoutMs);
  try {
    return await exit;
  } finally {
    clearTimeout(timer);
  }
}

/** When a process that is waited for has ended. */
export async function exitOf(process: ApiProcess): Promise<Exit> {
  const { status, at } = await process.wait();
  return { code: status, at: dateOf(at) };
}

/** Waits for work whose failure by this code is as good as its success. */
export async function ignoring(code: Parameters<typeof isCode>[1], work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isCode(error, code)) throw error;
  }
}

const dateOf = (nanos: bigint | undefined): Date =>
  nanos === undefined ? new Date() : new Date(Number(nanos / 1_000_000n));
