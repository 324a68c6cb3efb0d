/**
 * Standard streams of a process, as a client names them: FIFO paths or URIs.
 *
 * A FIFO is opened here and given to the container's process as it is: nothing is copied. Beside each the shim keeps an end of its own:
 *
 *   stdin    a writing end until `closeStdin`, so that clients may come and go before the process sees the end
 *   stdout,  a reading and writing end until the process has ended, so that the process neither blocks at open nor gets SIGPIPE
 *   stderr   while no client reads
 *
 * For a log the process is given a pipe; see `logs`. So it is for a FIFO if it is to be checkpointed; see `fifo-copy`.
 *
 * When the process has ended, the last writing end is closed and a reader sees the end. If nobody has come to read yet, the output is kept
 * for a while; see `late-output`.
 */

import { fchownSync } from "node:fs";
import { type HullError, invalidArgument, unimplemented, unknown } from "@hull/errors";
import { close, open, openFlags, pipe, setNonBlocking } from "@hull/sys/fd";
import type { OutputName } from "./cri/log-lines.ts";
import type { CriStreams, CriTarget } from "./cri/streams.ts";
import { CopiedInput, CopiedOutput } from "./fifo-copy.ts";
import { LateOutput } from "./late-output.ts";
import { LogFile, parseRotation, type Rotation } from "./log-file.ts";
import { fileSink, LoggerProcess, type LogOwner, LogPipe, type OutputSink } from "./logs.ts";
import type { ProcessStreams } from "./streams.ts";
import type { TimedLog } from "./timed-log.ts";

/** Where a stream goes. */
export type StreamTarget =
  | { kind: "none" }
  | { kind: "fifo"; path: string }
  | { kind: "file"; path: string; rotation: Rotation | undefined; times: boolean }
  | { kind: "binary"; path: string; args: string[]; version: 1 | 2 }
  | { kind: "cri"; path: string; maxLine: number; once: boolean };

/**
 * Reads a stream's name: empty, an absolute path or `fifo://` (FIFO), `file://` (appended to; with `max-size` and `max-file` in its query it is
 * rotated, with `times` each line has its time and output before it, see `timed-log`), `binary://` and `binary-v2://` (a logging process, with arguments from the query), `cri://` (hull's own: a log in the CRI's form and
 * attached clients; the path may be missing, `max-line` in the query says when lines are split, `once` for stdin that the first client ends it).
 *
 * @throws InvalidArgument for a relative path; Unknown for another scheme
 */
export function parseStream(name: string): StreamTarget {
  if (name === "") return { kind: "none" };
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(name)?.[1];
  if (scheme === undefined) return { kind: "fifo", path: absolute(name, name) };
  const [rest = "", query] = cut(name.slice(scheme.length + 3), "?");
  switch (scheme) {
    case "fifo":
      return { kind: "fifo", path: absolute(decoded(rest, name), name) };
    case "file": {
      const values = new URLSearchParams(query);
      const path = absolute(decoded(rest, name), name);
      return { kind: "file", path, rotation: parseRotation(values, name), times: values.has("times") };
    }
    case "binary":
    case "binary-v2": {
      const version = scheme === "binary" ? 1 : 2;
      return { kind: "binary", path: absolute(decoded(rest, name), name), args: queryArguments(query ?? ""), version };
    }
    case "cri": {
      const values = new URLSearchParams(query);
      const path = rest === "" ? "" : absolute(decoded(rest, name), name);
      return { kind: "cri", path, maxLine: integer(values.get("max-line"), name), once: values.has("once") };
    }
    default:
      // The words that clients know from containerd's shim.
      throw unknown(`failed to create init process I/O: unknown STDIO scheme ${scheme}`);
  }
}

function cut(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at);
  return index === -1 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}

function decoded(path: string, name: string): string {
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw invalidArgument(`stream "${name}": "${path}" is not a valid percent-encoding`, { cause });
  }
}

function absolute(path: string, name: string): string {
  if (!path.startsWith("/") || path.includes("\0")) throw invalidArgument(`stream "${name}" is not an absolute path`);
  return path;
}

/** 0 without a value. */
function integer(text: string | null, name: string): number {
  if (text !== null && !/^-?\d{1,15}$/.test(text)) throw invalidArgument(`stream "${name}": "${text}" is not a number`);
  return Number(text);
}

function queryArguments(query: string): string[] {
  const args: string[] = [];
  for (const [key, value] of new URLSearchParams(query)) {
    args.push(key);
    if (value !== "") args.push(value);
  }
  return args;
}

/** A log file. */
export type FileTarget = Extract<StreamTarget, { kind: "file" }>;

/** Names of the three streams, as the client gave them. */
export interface StreamNames {
  stdin: string;
  stdout: string;
  stderr: string;
}

/** Whose streams they are, and what becomes of them. */
export interface StreamOwner extends LogOwner {
  /** Who the ends are given to that the process gets, if not root. */
  readonly uid: number;
  readonly gid: number;
}

/** What belongs to open streams besides the descriptors of the process. */
interface Ends {
  stdinEnd: number | undefined;
  outputEnds: number[];
  input: CopiedInput | undefined;
  outputs: CopiedOutput[];
  logs: LogPipe[];
  logger: LoggerProcess | undefined;
  cri: CriStreams | undefined;
}

const noEnds = { stdinEnd: undefined, input: undefined, logger: undefined, cri: undefined };

/** Open streams of one process without a terminal. */
export class ProcessStdio implements ProcessStreams {
  /** What the runtime is started with: descriptors, or nothing (/dev/null). */
  readonly descriptors: readonly (number | "ignore")[];
  /** Ends that go to the process. */
  readonly #given: readonly number[];
  readonly #ends: Ends;
  #late: LateOutput[] = [];

  private constructor(descriptors: readonly (number | "ignore")[], ends: Partial<Ends> = {}) {
    this.descriptors = descriptors;
    this.#given = [...new Set(descriptors.filter((fd) => fd !== "ignore"))];
    this.#ends = { ...noEnds, outputEnds: [], outputs: [], logs: [], ...ends };
  }

  /** Streams that lead nowhere. */
  static none(): ProcessStdio {
    return new ProcessStdio(["ignore", "ignore", "ignore"]);
  }

  /**
   * Opens the streams.
   *
   * A log named for stdout takes stderr as well, unless that is given a place of its own. With `checkpointable` the process gets no FIFO itself.
   *
   * @throws InvalidArgument, Unimplemented (see `parseStream`), Unknown if a logging process can't be started, or the system's error
   */
  static async open(
    { stdin, stdout, stderr }: StreamNames,
    owner: StreamOwner,
    { checkpointable = false }: { checkpointable?: boolean } = {},
  ): Promise<ProcessStdio> {
    using undo = new DisposableStack();
    const keep = (fd: number): number => {
      undo.defer(() => close(fd));
      return fd;
    };
    const ends: Ends = { ...noEnds, outputEnds: [], outputs: [], logs: [] };
    const target = parseStream(stdout);
    if (target.kind === "cri") {
      if (stderr !== "" && stderr !== stdout) throw criTogether(stderr);
      ends.cri = await openCriStreams(target);
      undo.adopt(ends.cri, (opened) => opened.close());
    }
    const input = (name: string): number | "ignore" => {
      const source = parseStream(name);
      if (source.kind === "cri") {
        if (ends.cri === undefined) throw criTogether(name);
        const { read, write } = pipe();
        ends.cri.connectInput(write, { endsWithClient: source.once });
        return keep(read);
      }
      const path = fifoOf(name);
      if (path === undefined) return "ignore";
      if (checkpointable) {
        ends.input = undo.adopt(new CopiedInput(path), (copy) => copy.close());
        ends.stdinEnd = keep(ends.input.clientEnd);
        return keep(ends.input.readEnd);
      }
      // Opened for reading alone: a process that held a writing end itself would never see the end of its input.
      const fd = keep(open(path, openFlags.readOnly | openFlags.nonBlocking));
      setNonBlocking(fd, false);
      ends.stdinEnd = keep(open(path, openFlags.writeOnly | openFlags.nonBlocking));
      return fd;
    };
    const logged = (sink: OutputSink): number => {
      const log = new LogPipe(sink);
      undo.defer(() => log.close());
      ends.logs.push(log);
      return keep(log.writeEnd);
    };
    const output = (name: string, target: StreamTarget): number | "ignore" => {
      switch (target.kind) {
        case "none":
          return "ignore";
        case "fifo":
          if (checkpointable) {
            const copy = undo.adopt(new CopiedOutput(target.path), (opened) => opened.close());
            ends.outputs.push(copy);
            return keep(copy.writeEnd);
          }
          ends.outputEnds.push(keep(open(target.path, openFlags.readWrite | openFlags.nonBlocking)));
          return keep(open(target.path, openFlags.writeOnly));
        case "file":
          if (target.times) throw timesTogether(name);
          return logged(fileSink(new LogFile(target.path, target.rotation)));
        case "binary":
          throw unimplemented(`stream "${name}": a logging process takes stderr together with stdout, or not at all`);
        case "cri":
          throw criTogether(name);
      }
    };
    const first = input(stdin);
    let second: number | "ignore";
    let third: number | "ignore";
    if (target.kind === "binary") {
      const logger = await LoggerProcess.start(target, owner);
      undo.defer(() => logger.kill());
      ends.logger = logger;
      [second, third] = [keep(logger.stdout), keep(logger.stderr)];
    } else if (ends.cri !== undefined) {
      [second, third] = [logged(criSink(ends.cri, "stdout")), logged(criSink(ends.cri, "stderr"))];
    } else if (target.kind === "file" && target.times && (stderr === stdout || stderr === "")) {
      const log = await openTimedLog(target);
      [second, third] = [logged(log.sink("stdout")), logged(log.sink("stderr"))];
    } else {
      second = output(stdout, target);
      const together = stderr === stdout || (stderr === "" && target.kind === "file");
      third = together ? second : output(stderr, parseStream(stderr));
    }
    const descriptors = [first, second, third];
    if (owner.uid !== 0 || owner.gid !== 0) {
      for (const fd of descriptors) if (fd !== "ignore") fchownSync(fd, owner.uid, owner.gid);
    }
    undo.move();
    return new ProcessStdio(descriptors, ends);
  }

  get cri(): CriStreams | undefined {
    return this.#ends.cri;
  }

  /** Closes the ends that were handed over. To be called once the process has them, or won't come to be. */
  handedOver(): void {
    for (const fd of this.#given) close(fd);
  }

  /** Gives up the writing end of stdin: the process sees the end once the clients have closed theirs. */
  closeStdin(): void {
    if (this.#ends.stdinEnd !== undefined) close(this.#ends.stdinEnd);
    this.#ends.stdinEnd = undefined;
    this.#ends.cri?.closeInput();
  }

  /** The process has ended: readers see the end of its output, and logs have all of it. */
  finish(): void {
    this.closeStdin();
    this.#ends.input?.close();
    for (const end of this.#ends.outputEnds) {
      const kept = LateOutput.keep(end);
      if (kept !== undefined) this.#late.push(kept);
    }
    this.#ends.outputEnds = [];
    for (const log of this.#ends.logs) log.flush();
    for (const copy of this.#ends.outputs) copy.flush();
  }

  /** Copies are done, a logging process has ended. Nothing else is there to wait for: whoever still writes to a log has no part in the container. */
  async drained(): Promise<void> {
    await Promise.all(this.#ends.outputs.map(({ drained }) => drained));
    await this.#ends.logger?.stop();
  }

  /** Closes everything, also output that nobody has come to read. */
  close(): void {
    this.finish();
    for (const log of this.#ends.logs) log.close();
    this.#ends.logs = [];
    for (const copy of this.#ends.outputs) copy.close();
    this.#ends.cri?.close();
    this.#ends.logger?.kill();
    for (const kept of this.#late) kept[Symbol.dispose]();
    this.#late = [];
  }
}

/** Opens what `cri://` names. The code is loaded with the first. @throws the system's error */
export async function openCriStreams(target: CriTarget): Promise<CriStreams> {
  const { CriStreams } = await import("./cri/streams.ts");
  return new CriStreams(target);
}

/** Opens a log whose lines have times. The code is loaded with the first. @throws the system's error */
export async function openTimedLog({ path, rotation }: FileTarget): Promise<TimedLog> {
  const { TimedLog } = await import("./timed-log.ts");
  return new TimedLog(path, rotation);
}

/** One output of such streams; they are closed by themselves, not with an output. */
export function criSink(cri: CriStreams, name: OutputName): OutputSink {
  return { take: (chunk) => cri.take(name, chunk), end: () => cri.end(name), close() {} };
}

function timesTogether(name: string): HullError {
  return invalidArgument(`stream "${name}": a log with times takes stdout and stderr by the same name`);
}

function criTogether(name: string): HullError {
  return invalidArgument(
    `stream "${name}" is of the scheme "cri", which takes stdout and stderr by the same name, and stdin besides`,
  );
}

/** The path of a stream that must be a FIFO, undefined for none. @throws as `parseStream`; Unimplemented for another kind */
export function fifoOf(name: string): string | undefined {
  const target = parseStream(name);
  if (target.kind === "none") return undefined;
  if (target.kind !== "fifo") throw unimplemented(`stream "${name}" is not a FIFO, which is needed here`);
  return target.path;
}
