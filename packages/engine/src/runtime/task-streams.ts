/** What hull's own shim offers for tasks whose streams have the scheme `cri`: their log, and clients that take part in their streams. */

import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { StreamsDefinition } from "@hull/api/gen/hull/shim/v1/streams";
import { failedPrecondition, unimplemented } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Descriptor, open, openFlags, setPipeCapacity } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import { openPlace, type PipePlace } from "@hull/sys/pipe-place";
import { connectTtrpc, ttrpcClient } from "@hull/ttrpc/client";
import type { Shim } from "./shim.ts";

/** Which streams a client takes part in. */
export interface StreamWishes {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** A client's ends of the streams, non-blocking; those that it has no part in are missing. Disposing is leaving the streams. */
export interface AttachedStreams extends AsyncDisposable {
  /** Where the input is written. */
  readonly stdin: number | undefined;
  /** Where output is read, each to its end. */
  readonly stdout: number | undefined;
  readonly stderr: number | undefined;
  /** Nothing more is written. */
  endInput(): void;
  /** Resolves when nothing more is written to the outputs. @throws ResourceExhausted if the client was let go */
  readonly over: Promise<void>;
}

/** The streams of one task's first process. */
export interface TaskStreams {
  /** Has the log file opened anew, which somebody has renamed. @throws the system's error, as Unknown or NotFound */
  reopenLog(): Promise<void>;
  /**
   * Takes part in the streams from now on.
   *
   * A client that takes nothing of what waits for it for ten seconds is let go (ResourceExhausted); until then the process waits for it. With
   * the end of the input it is over, unless the process was to see that end, or had no input.
   *
   * @returns the client's ends, once nothing of the output is missed any more
   * @throws FailedPrecondition when the process has ended
   */
  attach(wishes: StreamWishes, options?: { signal?: AbortSignal }): Promise<AttachedStreams>;
}

/** The name of a task's output: its log, and clients. @param log absolute; empty for none. @param maxLine bytes; 0 or less: lines aren't split */
export function criOutput(log: string, maxLine: number): string {
  return `cri://${log.split("/").map(encodeURIComponent).join("/")}?max-line=${maxLine}`;
}

/** The name of a task's input that clients bring. @param once the first client's end of input is the process's */
export function criInput({ once }: { once: boolean }): string {
  return once ? "cri://?once" : "cri://";
}

/** @param directory where FIFOs can be made, for a moment @throws Unimplemented for a shim that isn't hull's own */
export function taskStreams(shim: Shim, id: string, directory: string): TaskStreams {
  if (shim.program !== undefined || shim.foreign) {
    throw unimplemented(`the shim of task "${id}" keeps neither logs nor attached clients: it is not hull's own`);
  }
  const { connection, bootstrap } = shim.connected;
  return {
    async reopenLog() {
      await ttrpcClient(StreamsDefinition, connection).reopenLog({ id });
    },
    async attach(wishes, { signal } = {}) {
      await using undo = new AsyncDisposableStack();
      const fifos = undo.use(new ClientFifos(directory, wishes));
      // Of its own, since its end is how a shim learns that a client has gone.
      const own = await connectTtrpc(bootstrap.address);
      undo.defer(() => own.close());
      const answers = ttrpcClient(StreamsDefinition, own).attach({ id, ...fifos.paths }, { signal });
      const iterator = answers[Symbol.asyncIterator]();
      const { done, value: answer } = await iterator.next();
      if (done) throw failedPrecondition(`task "${id}" ended while a client came to attach`);
      fifos.removePaths();
      if (answer.input !== "") fifos.writeInto({ path: answer.input, inode: answer.inputInode });
      const over = iterator.next().then(() => {});
      over.catch(() => {});
      const kept = undo.move();
      return {
        ...fifos.ends,
        endInput: () => fifos.endInput(),
        over,
        [Symbol.asyncDispose]: () => kept.disposeAsync(),
      };
    },
  };
}

/** Room for much at once: fewer turns for the same bytes. */
const capacity = 1024 * 1024;

/** FIFOs between a client and the shim, which opens the other ends by their paths. */
class ClientFifos implements Disposable {
  readonly paths: { stdin: string; stdout: string; stderr: string };
  readonly #stdin: Descriptor | undefined;
  /** The process's own end of input, where it could be opened: no copy in between. */
  #direct: Descriptor | undefined;
  readonly #stdout: Descriptor | undefined;
  readonly #stderr: Descriptor | undefined;
  readonly #undo = new DisposableStack();
  readonly #files = new DisposableStack();

  constructor(directory: string, { stdin, stdout, stderr }: StreamWishes) {
    const path = join(directory, `client-${randomBytes(8).toString("hex")}`);
    const make = (name: string, flags: number): { path: string; end: Descriptor } => {
      const file = `${path}-${name}`;
      makeFifo(file, 0o600);
      this.#files.defer(() => rmSync(file, { force: true }));
      const end = this.#undo.use(new Descriptor(open(file, flags | openFlags.nonBlocking)));
      enlarge(end.fd);
      return { path: file, end };
    };
    try {
      // To read as well, so that it can be opened before the shim has.
      const input = stdin ? make("stdin", openFlags.readWrite) : undefined;
      const [out, err] = [stdout, stderr].map((wanted, index) =>
        wanted ? make(index === 0 ? "stdout" : "stderr", openFlags.readOnly) : undefined,
      );
      this.paths = { stdin: input?.path ?? "", stdout: out?.path ?? "", stderr: err?.path ?? "" };
      this.#stdin = input?.end;
      this.#stdout = out?.end;
      this.#stderr = err?.end;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The shim has opened them. */
  removePaths(): void {
    this.#files.dispose();
  }

  /** Has the input written where the process reads it. */
  writeInto(place: PipePlace): void {
    this.#direct = openPlace(place);
    if (this.#direct !== undefined) enlarge(this.#direct.fd);
  }

  get ends(): Pick<AttachedStreams, keyof StreamWishes> {
    return { stdin: (this.#direct ?? this.#stdin)?.fd, stdout: this.#stdout?.fd, stderr: this.#stderr?.fd };
  }

  endInput(): void {
    // What was written is there before the shim learns of the end.
    this.#direct?.[Symbol.dispose]();
    this.#stdin?.[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#files.dispose();
    this.#direct?.[Symbol.dispose]();
    this.#undo.dispose();
  }
}

function enlarge(fd: number): void {
  try {
    setPipeCapacity(fd, capacity);
  } catch (error) {
    // The user's share of memory for pipes is used up: the size it has will do.
    if (!isErrno(error, "EPERM")) throw error;
  }
}
