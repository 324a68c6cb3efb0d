/**
 * The seam to what Bun has built in and Node has otherwise: starting programs, finding them, hashes. Which one it is `package.json` says
 * (`#host`). Use it by `program.ts` and `hash.ts`.
 */

/** What becomes of one of a program's descriptors: /dev/null, a pipe to this process, a descriptor of ours, or (stdin) these bytes. */
export type ProgramStdio = "ignore" | "pipe" | number | Uint8Array;

export interface ProgramOptions {
  /** For the descriptors 0, 1, 2, and those that follow. */
  readonly stdio: readonly ProgramStdio[];
  readonly cwd?: string;
  /** The program's whole environment. Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** A session of its own: signals of this process's terminal don't reach it. */
  readonly detached?: boolean;
  /** Kills it. */
  readonly signal?: AbortSignal;
}

/** Where a program's piped input is written to. */
export interface ProgramInput {
  write(bytes: Uint8Array | string): unknown;
  flush(): unknown;
  end(): unknown;
}

/** A program that was started. Streams are there for descriptors that were to be pipes. */
export interface Program {
  readonly pid: number;
  readonly stdin: ProgramInput;
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly stderr: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Its status, 128 and the signal's number if a signal ended it. */
  readonly exited: Promise<number>;
  readonly exitCode: number | null;
  readonly signalCode: string | null;
  kill(signal?: NodeJS.Signals): void;
  /** It doesn't keep this process from ending. */
  unref(): void;
}

export interface Host {
  /** @throws Error with the code ENOENT, EACCES … */
  startProgram(argv: readonly string[], options: ProgramOptions): Program;
  /** The path of a program that is looked for in PATH; null if there is none. */
  which(name: string): string | null;
  /** Of a text, for tables in memory: another process, or version, may give another number. */
  hash32(text: string, seed: number): number;
}
