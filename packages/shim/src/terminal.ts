/**
 * A process's terminal. The OCI runtime makes the pair inside the container and sends its controlling side over a socket; the shim copies
 * between it and the client's FIFOs, each way as fast as the reader takes it.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { close, open, openFlags, setNonBlocking } from "@hull/sys/fd";
import { copyStream } from "@hull/sys/stream";
import { ConsoleSocket, setTerminalSize } from "@hull/sys/terminal";
import type { CriStreams } from "./cri/streams.ts";
import { LateOutput } from "./late-output.ts";
import { LogFile } from "./log-file.ts";
import { fileSink, LoggerProcess, type LogOwner, type OutputSink } from "./logs.ts";
import { pump } from "./pump.ts";
import { criSink, fifoOf, openCriStreams, openTimedLog, parseStream } from "./stdio.ts";
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

/** The client's side of a terminal: its FIFOs, or a log, opened before the process is made, so that a bad path fails early. */
export class TerminalStreams implements ProcessStreams {
  readonly #stop = new AbortController();
  readonly #input: number | undefined;
  #inputEnd: number | undefined;
  #output: number | undefined;
  /** What takes the output instead, if anything. */
  readonly #sink: OutputSink | undefined;
  readonly cri: CriStreams | undefined;
  /** Clients write to the terminal. */
  readonly #typed: boolean;
  readonly #logger: LoggerProcess | undefined;
  #kept: LateOutput | undefined;
  #terminal: number | undefined;
  #copies: Promise<unknown> = Promise.resolve();

  private constructor(opened: {
    input?: number;
    inputEnd?: number;
    output?: number;
    sink?: OutputSink;
    cri?: CriStreams;
    typed?: boolean;
    logger?: LoggerProcess;
  }) {
    this.#input = opened.input;
    this.#inputEnd = opened.inputEnd;
    this.#output = opened.output;
    this.#sink = opened.sink;
    this.cri = opened.cri;
    this.#typed = opened.typed ?? false;
    this.#logger = opened.logger;
  }

  /**
   * Opens what the names stand for.
   *
   * @throws InvalidArgument, Unimplemented or the system's error for a name that can't be opened; Unknown for a logging process
   */
  static async open(names: { stdin: string; stdout: string }, owner: LogOwner): Promise<TerminalStreams> {
    using undo = new DisposableStack();
    const opened = (path: string, flags: number): number => {
      const fd = open(path, flags | openFlags.nonBlocking);
      undo.defer(() => close(fd));
      return fd;
    };
    const target = parseStream(names.stdout);
    const typed = target.kind === "cri" && parseStream(names.stdin).kind === "cri";
    const input = typed ? undefined : fifoOf(names.stdin);
    const ends =
      input === undefined
        ? {}
        : { input: opened(input, openFlags.readOnly), inputEnd: opened(input, openFlags.writeOnly) };
    const streams = await (async () => {
      switch (target.kind) {
        case "none":
          return new TerminalStreams(ends);
        case "fifo":
          return new TerminalStreams({ ...ends, output: opened(target.path, openFlags.readWrite) });
        case "file":
          if (target.times) {
            const log = await openTimedLog(target);
            // A terminal has one output.
            log.sink("stderr").close();
            return new TerminalStreams({ ...ends, sink: log.sink("stdout") });
          }
          return new TerminalStreams({ ...ends, sink: fileSink(new LogFile(target.path, target.rotation)) });
        case "binary": {
          const logger = await LoggerProcess.start(target, owner);
          // A terminal has no second stream of output.
          close(logger.stderr);
          setNonBlocking(logger.stdout, true);
          return new TerminalStreams({ ...ends, logger, output: logger.stdout });
        }
        case "cri": {
          const cri = await openCriStreams(target);
          // A terminal has one output.
          cri.end("stderr");
          return new TerminalStreams({ ...ends, cri, typed, sink: criSink(cri, "stdout") });
        }
      }
    })();
    undo.move();
    return streams;
  }

  /** Starts copying; the terminal is this object's from here on. */
  connect(terminal: number): void {
    setNonBlocking(terminal, true);
    this.#terminal = terminal;
    const { signal } = this.#stop;
    const input = this.#input === undefined ? Promise.resolve(0) : copyStream(this.#input, terminal, { signal });
    // A terminal's end of input is a character that is typed.
    if (this.#typed) this.cri?.connectInput(terminal, { endsWithClient: false, lent: true });
    const sink = this.#sink;
    const output =
      this.#output === undefined
        ? pump(terminal, (chunk) => sink?.take(chunk), { signal })
        : copyStream(terminal, this.#output, { signal });
    const copies = output.finally(() => {
      sink?.end();
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
    await this.#logger?.stop();
  }

  close(): void {
    this.#stop.abort();
    this.closeStdin();
    this.#endOutput();
    for (const fd of [this.#input, this.#terminal]) if (fd !== undefined) close(fd);
    this.#kept?.[Symbol.dispose]();
    this.#terminal = undefined;
    this.#kept = undefined;
    this.#sink?.close();
    this.cri?.close();
    this.#logger?.kill();
  }

  #endOutput(): void {
    if (this.#output !== undefined) {
      if (this.#logger !== undefined) close(this.#output);
      else this.#kept = LateOutput.keep(this.#output);
    }
    this.#output = undefined;
  }
}
