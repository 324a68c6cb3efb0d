/**
 * Standard streams of a process, as a client names them: FIFO paths or URIs.
 *
 * A FIFO is opened here and given to the container's process as it is: nothing is copied. Beside each the shim keeps an end of its own:
 *
 *   stdin    a writing end until `closeStdin`, so that clients may come and go before the process sees the end
 *   stdout,  a reading and writing end until the process has ended, so that the process neither blocks at open nor gets SIGPIPE
 *   stderr   while no client reads
 *
 * When the process has ended, the last writing end is closed and a reader sees the end. If nobody has come to read yet, the output is kept
 * for a late reader until the process is deleted.
 */

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { invalidArgument, unimplemented } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { close, open, openFlags, setNonBlocking } from "@hull/sys/fd";
import type { ProcessStreams } from "./streams.ts";

/** Where a stream goes. */
export type StreamTarget =
  | { kind: "none" }
  | { kind: "fifo"; path: string }
  | { kind: "file"; path: string }
  | { kind: "binary"; path: string; args: string[]; version: 1 | 2 };

/**
 * Reads a stream's name: empty, an absolute path or `fifo://` (FIFO), `file://` (appended to), `binary://` and `binary-v2://` (a logging
 * process, with arguments from the query).
 *
 * @throws InvalidArgument for a relative path; Unimplemented for another scheme
 */
export function parseStream(name: string): StreamTarget {
  if (name === "") return { kind: "none" };
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(name)?.[1];
  if (scheme === undefined) return { kind: "fifo", path: absolute(name, name) };
  const [rest = "", query] = cut(name.slice(scheme.length + 3), "?");
  switch (scheme) {
    case "fifo":
      return { kind: "fifo", path: absolute(decoded(rest, name), name) };
    case "file":
      return { kind: "file", path: absolute(decoded(rest, name), name) };
    case "binary":
    case "binary-v2": {
      const version = scheme === "binary" ? 1 : 2;
      return { kind: "binary", path: absolute(decoded(rest, name), name), args: queryArguments(query ?? ""), version };
    }
    default:
      throw unimplemented(
        `stream "${name}": scheme "${scheme}" is not supported: use a FIFO's path, file:// or binary://`,
      );
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

function queryArguments(query: string): string[] {
  const args: string[] = [];
  for (const [key, value] of new URLSearchParams(query)) {
    args.push(key);
    if (value !== "") args.push(value);
  }
  return args;
}

/** Names of the three streams, as the client gave them. */
export interface StreamNames {
  stdin: string;
  stdout: string;
  stderr: string;
}

/** Open streams of one process without a terminal. */
export class ProcessStdio implements ProcessStreams {
  /** What the runtime is started with: descriptors, or nothing (/dev/null). */
  readonly descriptors: readonly (number | "ignore")[];
  /** Ends that go to the process. */
  readonly #given: readonly number[];
  #stdinEnd: number | undefined;
  #outputEnds: number[];
  #late: number[] = [];

  private constructor(
    descriptors: readonly (number | "ignore")[],
    ends: { stdinEnd: number | undefined; outputEnds: number[] },
  ) {
    this.descriptors = descriptors;
    this.#given = [...new Set(descriptors.filter((fd) => fd !== "ignore"))];
    this.#stdinEnd = ends.stdinEnd;
    this.#outputEnds = ends.outputEnds;
  }

  /** Streams that lead nowhere. */
  static none(): ProcessStdio {
    return new ProcessStdio(["ignore", "ignore", "ignore"], { stdinEnd: undefined, outputEnds: [] });
  }

  /** Opens the streams. @throws InvalidArgument, Unimplemented (see `parseStream`), or the system's error, e.g. NotFound */
  static open({ stdin, stdout, stderr }: StreamNames): ProcessStdio {
    using undo = new DisposableStack();
    const keep = (fd: number): number => {
      undo.defer(() => close(fd));
      return fd;
    };
    const outputEnds: number[] = [];
    let stdinEnd: number | undefined;
    const input = (name: string): number | "ignore" => {
      const path = fifoOf(name);
      if (path === undefined) return "ignore";
      // Opened for reading alone: a process that held a writing end itself would never see the end of its input.
      const fd = keep(open(path, openFlags.readOnly | openFlags.nonBlocking));
      setNonBlocking(fd, false);
      stdinEnd = keep(open(path, openFlags.writeOnly | openFlags.nonBlocking));
      return fd;
    };
    const output = (name: string): number | "ignore" => {
      const target = parseStream(name);
      switch (target.kind) {
        case "none":
          return "ignore";
        case "fifo":
          outputEnds.push(keep(open(target.path, openFlags.readWrite | openFlags.nonBlocking)));
          return keep(open(target.path, openFlags.writeOnly));
        case "file":
          mkdirSync(dirname(target.path), { recursive: true });
          return keep(open(target.path, openFlags.writeOnly | openFlags.create | openFlags.append, 0o644));
        case "binary":
          throw unimplemented(`stream "${name}": logging processes are not supported yet: use file:// or a FIFO`);
      }
    };
    const first = input(stdin);
    const second = output(stdout);
    const third = stderr !== "" && stderr === stdout ? second : output(stderr);
    undo.move();
    return new ProcessStdio([first, second, third], { stdinEnd, outputEnds });
  }

  /** Closes the ends that were handed over. To be called once the process has them, or won't come to be. */
  handedOver(): void {
    for (const fd of this.#given) close(fd);
  }

  /** Gives up the writing end of stdin: the process sees the end once the clients have closed theirs. */
  closeStdin(): void {
    if (this.#stdinEnd !== undefined) close(this.#stdinEnd);
    this.#stdinEnd = undefined;
  }

  /** The process has ended: readers see the end of its output. */
  finish(): void {
    this.closeStdin();
    for (const end of this.#outputEnds) {
      const kept = endOutput(end);
      if (kept !== undefined) this.#late.push(kept);
    }
    this.#outputEnds = [];
  }

  /** There is no copy to wait for. */
  async drained(): Promise<void> {}

  /** Closes everything, also output that nobody has come to read. */
  close(): void {
    this.finish();
    for (const end of this.#late) close(end);
    this.#late = [];
  }
}

/** The path of a stream that must be a FIFO, undefined for none. @throws as `parseStream`; Unimplemented for another kind */
export function fifoOf(name: string): string | undefined {
  const target = parseStream(name);
  if (target.kind === "none") return undefined;
  if (target.kind !== "fifo") throw unimplemented(`stream "${name}" is not a FIFO, which is needed here`);
  return target.path;
}

/** Closes a FIFO's reading and writing end; if nobody else reads, returns one that keeps what is in it. */
export function endOutput(end: number): number | undefined {
  const self = (fd: number) => `/proc/self/fd/${fd}`;
  const writer = open(self(end), openFlags.writeOnly | openFlags.nonBlocking);
  close(end);
  try {
    // ENXIO says that no reader is left: fifo(7).
    close(open(self(writer), openFlags.writeOnly | openFlags.nonBlocking));
    return undefined;
  } catch (error) {
    if (!isErrno(error, "ENXIO")) throw error;
    return open(self(writer), openFlags.readWrite | openFlags.nonBlocking);
  } finally {
    close(writer);
  }
}
