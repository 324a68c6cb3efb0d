import { invalidArgument } from "@hull/errors";
import { makeFifos, openInput, openOutput, removeFifoFolder } from "#fifo";
import type { FifoEnd } from "../fifo/index.ts";
import type { ProcessIo } from "../tasks.ts";
import { Output } from "./output.ts";

/** What a process gets as its input: nothing (the end at once), a stream that is written to, or these bytes. */
export type StdinOption = "ignore" | "pipe" | string | Uint8Array | AsyncIterable<Uint8Array>;

/** What becomes of a process's output. */
export type OutputOption = "ignore" | "pipe";

export interface StdioOptions {
  readonly terminal: boolean;
  readonly stdin: StdinOption;
  readonly stdout: OutputOption;
  readonly stderr: OutputOption;
  /** Where both outputs go instead: a URI for the process's keeper. */
  readonly log?: string | undefined;
}

/**
 * The stdio of one process, by FIFOs on the daemon's host, which is this one.
 *
 *   open (its maker waits for that) ──► io for the task, whose maker opens the other ends ──► connect ──► stdin, stdout, stderr ──► close
 */
export class Stdio {
  readonly io: ProcessIo;
  readonly stdin: WritableStream<Uint8Array | string>;
  readonly stdout: Output;
  readonly stderr: Output;
  #folder: string;
  readonly #ends: FifoEnd[] = [];
  readonly #connected = Promise.withResolvers<void>();
  readonly #started = Promise.withResolvers<() => Promise<void>>();

  private constructor(folder: string, options: StdioOptions) {
    const path = (name: string, wanted: boolean): string => (wanted ? `${folder}/${name}` : "");
    const { terminal, log } = options;
    const paths = {
      stdin: path("stdin", options.stdin !== "ignore"),
      stdout: path("stdout", options.stdout === "pipe"),
      stderr: path("stderr", options.stderr === "pipe" && !terminal),
    };
    this.#folder = folder;
    const outputs = log === undefined ? paths : { stdout: log, stderr: terminal ? "" : log };
    this.io = { paths: { ...paths, ...outputs, terminal } };
    this.#connected.promise.catch(() => {});
    this.#started.promise.catch(() => {});
    this.stdin = this.#input(paths.stdin);
    this.stdout = log === undefined ? this.#output(paths.stdout) : loggedOutput();
    this.stderr = log === undefined ? this.#output(paths.stderr) : loggedOutput();
    if (options.stdin !== "ignore" && options.stdin !== "pipe") this.#feed(options.stdin).catch(() => {});
  }

  /** Makes the FIFOs. */
  static async open(wished: StdioOptions): Promise<Stdio> {
    checkWishes(wished);
    const options = wished.log === undefined ? wished : ({ ...wished, stdout: "ignore", stderr: "ignore" } as const);
    const names = [
      ...(options.stdin === "ignore" ? [] : ["stdin"]),
      ...(options.stdout === "ignore" ? [] : ["stdout"]),
      ...(options.stderr === "ignore" || options.terminal ? [] : ["stderr"]),
    ];
    return new Stdio(names.length === 0 ? "" : await makeFifos(names), options);
  }

  /** The other ends are open: the process has been created. */
  connect(): void {
    this.#connected.resolve();
  }

  /** The process runs, and its keeper has opened its ends; `closeStdin` tells its keeper that nothing more comes. */
  started(closeStdin: () => Promise<void>): void {
    this.#started.resolve(closeStdin);
    this.#removeFolder();
  }

  /** Lets go of everything; what has not been read is lost. */
  close(reason: unknown): void {
    this.#connected.reject(reason);
    this.#started.reject(reason);
    for (const end of this.#ends.splice(0)) end.close();
    this.#removeFolder();
  }

  /** When both sides have the FIFOs open, nobody needs their names: a program that is killed leaves none. */
  #removeFolder(): void {
    if (this.#folder !== "") removeFifoFolder(this.#folder);
    this.#folder = "";
  }

  #output(path: string): Output {
    const connected = this.#connected.promise;
    const end = path === "" ? undefined : this.#own(openOutput(path));
    async function* read(): AsyncGenerator<Uint8Array, void, undefined> {
      if (end === undefined) return;
      await connected;
      try {
        yield* end.read();
      } finally {
        end.close();
      }
    }
    return new Output(read());
  }

  #input(path: string): WritableStream<Uint8Array | string> {
    const encoder = new TextEncoder();
    const end = path === "" ? undefined : this.#own(openInput(path));
    return new WritableStream({
      write: async (chunk) => {
        if (end === undefined) throw new TypeError('the process has no input: run it with stdin: "pipe"');
        await end.write(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
      },
      close: async () => {
        if (end === undefined) return;
        const closeStdin = await this.#started.promise;
        // As long as anyone has it open for writing, its reader sees no end.
        await end.finish();
        await closeStdin();
      },
      abort: () => end?.close(),
    });
  }

  #own(end: FifoEnd): FifoEnd {
    this.#ends.push(end);
    return end;
  }

  async #feed(source: Exclude<StdinOption, "ignore" | "pipe">): Promise<void> {
    const writer = this.stdin.getWriter();
    try {
      if (typeof source === "string" || source instanceof Uint8Array) await writer.write(source);
      else for await (const chunk of source) await writer.write(chunk);
    } finally {
      await writer.close();
    }
  }
}

/** Output that whoever reads it looks for in the wrong place. */
function loggedOutput(): Output {
  return new Output({
    [Symbol.asyncIterator]: () => {
      throw new TypeError(
        "the container's output goes to its log: read it by logs(), or run the container without log",
      );
    },
  });
}

/** @throws InvalidArgument for what another library's users would say, and what would be taken for something else here */
function checkWishes({ stdin, stdout, stderr }: StdioOptions): void {
  if (stdin === "inherit")
    throw invalidArgument(
      'stdin "inherit" would be that text as input: hand this program\'s own on by stdin: process.stdin',
    );
  for (const [name, wish] of Object.entries({ stdout, stderr }))
    if (wish !== "pipe" && wish !== "ignore")
      throw invalidArgument(
        `${name} is "pipe" or "ignore", not "${String(wish)}": to show it, read it and write it to process.${name}`,
      );
}
