/**
 * A command in a container, beside its first process.
 *
 *   FIFOs ──► exec (known to the shim) ──► start ──► streams copied ──► exit ──► output drained ──► deleted
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { jsonTypes } from "@hull/api/typeurl";
import { contextFor } from "@hull/engine/context";
import type { TypedBytes } from "@hull/engine/labels";
import { type Logger, silent } from "@hull/engine/log";
import type { TaskManager } from "@hull/engine/runtime/index";
import { canceled, deadlineExceeded, HullError, isCode, unknown } from "@hull/errors";
import type { Process } from "@hull/oci/spec";
import { isErrno } from "@hull/sys/errno";
import { Descriptor, openFifo, openFlags, read, setPipeCapacity, open as sysOpen } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import { criNamespace } from "../model.ts";
import { newId } from "../stores/index.ts";
import { wrapped } from "../wrap.ts";
import { copyIn, readInto } from "./copy.ts";
import type { Input, TerminalSize } from "./streams.ts";

/** What commands are run with. */
export interface ExecOptions {
  readonly tasks: Pick<TaskManager, "exec" | "start" | "wait" | "kill" | "closeIo" | "resizePty" | "deleteProcess">;
  /** What the first process of a container is made from, of which commands take user, environment and limits. @throws NotFound */
  processOf(containerId: string): Promise<Process>;
  /** A directory for FIFOs of a container's commands; made where it is missing. */
  fifoDirectory(containerId: string): string;
  /** How long the output of an ended command is waited for, in milliseconds, since others may have it open too; 0: for ever. */
  readonly drainTimeoutMs: number;
  readonly log?: Logger;
}

/** Reads an output to its end. */
export type Drain = (fd: number, signal: AbortSignal) => Promise<void>;

/** A command. */
export interface Command {
  /** Whole id. */
  readonly containerId: string;
  readonly args: readonly string[];
  readonly tty: boolean;
  readonly stdin?: Input;
  /** Without it, output leads nowhere. */
  readonly stdout?: Drain;
  readonly stderr?: Drain;
  readonly resize?: AsyncIterable<TerminalSize>;
  /** After which it is killed; 0: never. */
  readonly timeoutMs?: number;
  /** Kills it. */
  readonly signal?: AbortSignal;
}

const SIGKILL = 9;
/** More than the 64 KiB of a new FIFO: fewer turns for the same bytes. */
const capacity = 1024 * 1024;
const smallestPipe = 4096;

/**
 * Runs a command. Resolves to its exit code when its output has been read.
 *
 * @throws NotFound; DeadlineExceeded when its time was up; what the shim says of a command that can't be run
 */
export async function runCommand(options: ExecOptions, command: Command): Promise<number> {
  const { tasks, log = silent } = options;
  const { containerId: id, args, tty } = command;
  const ctx = contextFor(criNamespace);
  const execId = newId();
  using streams = new CommandFifos(options.fifoDirectory(id), execId, command);
  const spec = processSpec(await options.processOf(id), args, tty);
  await tasks.exec(ctx, { id, execId, terminal: tty, ...streams.paths, spec }).catch((error: unknown) => {
    throw wrapped(`failed to create exec "${execId}"`, error);
  });
  using undo = new DisposableStack();
  // Whoever waits for the command needn't wait for this.
  undo.defer(() => void forget(options, id, execId));
  const exit = tasks.wait(ctx, id, execId);
  exit.catch(() => {});
  await tasks.start(ctx, id, execId).catch((error: unknown) => {
    const { code, message } = wrapped(`failed to start exec "${execId}"`, error);
    // What a shim says has its class in its text, as clients know it from containerd.
    throw new HullError(code, code === "unknown" ? `${message}: unknown` : message, { cause: error });
  });
  // Whoever starts next learns by its FIFOs of a command whose end wasn't seen; see `left-commands`.
  exit.catch(() => streams.leaveFiles());
  streams.copy(() => tasks.closeIo(ctx, id, execId, true));
  if (command.resize !== undefined) {
    void follow(command.resize, (size) => tasks.resizePty(ctx, id, execId, size.width, size.height));
  }
  const overtime = await overtimeOf(command, exit);
  if (overtime === undefined) {
    const { exitStatus } = await exit;
    const drained = await streams.drained(options.drainTimeoutMs);
    if (!drained) throw unknown(`failed to drain exec process "${execId}" io: ${heldByOthers(execId, options)}`);
    return exitStatus;
  }
  await tasks.kill(ctx, id, { execId, signal: SIGKILL }).catch((error: unknown) => {
    if (!isCode(error, "notFound")) throw wrapped(`failed to kill exec "${execId}"`, error);
  });
  await exit;
  if (!(await streams.drained(options.drainTimeoutMs)))
    log.log("warn", heldByOthers(execId, options), { exec: execId });
  throw overtime;
}

async function forget({ tasks, log = silent }: ExecOptions, id: string, execId: string): Promise<void> {
  try {
    await tasks.deleteProcess(contextFor(criNamespace), id, execId);
  } catch (error) {
    if (isCode(error, "notFound")) return;
    log.log("error", "an exec could not be deleted", { container: id, exec: execId, error: String(error) });
  }
}

const heldByOthers = (execId: string, { drainTimeoutMs }: ExecOptions): string =>
  `failed to drain exec process "${execId}" io in ${drainTimeoutMs / 1000}s because io is still held by other processes`;

/** Why the command has to end; undefined if it has ended before that. */
async function overtimeOf({ timeoutMs = 0, signal }: Command, exit: Promise<unknown>): Promise<HullError | undefined> {
  if (timeoutMs === 0 && signal === undefined) {
    await exit;
    return undefined;
  }
  const text = `timeout ${timeoutMs / 1000}s exceeded`;
  const over = Promise.withResolvers<HullError | undefined>();
  const timer = timeoutMs > 0 ? setTimeout(() => over.resolve(deadlineExceeded(text)), timeoutMs) : undefined;
  const abort = (): void => over.resolve(canceled(text));
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  exit.then(() => over.resolve(undefined), over.reject);
  try {
    return await over.promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Passes sizes on until there are no more. A process that has ended has no terminal: that is nobody's concern. */
export async function follow(
  sizes: AsyncIterable<TerminalSize>,
  resize: (size: TerminalSize) => Promise<void>,
): Promise<void> {
  for await (const size of sizes) await resize(size).catch(() => {});
}

/** What of the first process a command has too. */
function processSpec(first: Process, args: readonly string[], terminal: boolean): TypedBytes {
  const others = (first.env ?? []).filter((each) => !each.startsWith("TERM="));
  const env = terminal ? [...others, "TERM=xterm"] : first.env;
  return { typeUrl: jsonTypes.process, value: Buffer.from(JSON.stringify({ ...first, args, env, terminal })) };
}

/** Reads an output for nothing. */
const discard: Drain = (fd, signal) => readInto(fd, () => undefined, signal);

/** A command's FIFOs, and the copying between them and its streams. */
class CommandFifos implements Disposable {
  readonly paths: { readonly stdin: string; readonly stdout: string; readonly stderr: string };
  readonly #stop = new AbortController();
  readonly #undo = new DisposableStack();
  readonly #files = new DisposableStack();
  readonly #outputs: (() => Promise<void>)[] = [];
  readonly #input: { fifo: Descriptor; from: Input } | undefined;
  #copies: Promise<unknown> = Promise.resolve();

  constructor(directory: string, execId: string, { tty, stdin, stdout, stderr }: Command) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const make = (name: string): string => {
      const path = join(directory, `${execId}-${name}`);
      makeFifo(path, 0o700);
      this.#files.defer(() => rmSync(path, { force: true }));
      return path;
    };
    const output = (name: string, drain: Drain): string => {
      const path = make(name);
      const end = this.#undo.use(new Descriptor(sysOpen(path, openFlags.readOnly | openFlags.nonBlocking)));
      resize(end.fd, capacity);
      this.#outputs.push(() => drain(end.fd, this.#stop.signal).finally(() => letGo(end)));
      return path;
    };
    try {
      this.paths = {
        stdin: stdin === undefined ? "" : make("stdin"),
        // A terminal's output has to go somewhere; other shims than ours insist on a FIFO.
        stdout: stdout === undefined && !tty ? "" : output("stdout", stdout ?? discard),
        stderr: stderr === undefined || tty ? "" : output("stderr", stderr),
      };
      if (stdin !== undefined) {
        // Open for both ways, so that it never waits for a reader.
        const fifo = this.#undo.use(new Descriptor(openFifo(this.paths.stdin, { nonBlocking: true })));
        resize(fifo.fd, capacity);
        this.#input = { fifo, from: stdin };
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** To be called when the process has started: before that an output has no writer, and would end at once. */
  copy(closeStdin: () => Promise<void>): void {
    this.#copies = Promise.allSettled(this.#outputs.map((start) => start()));
    if (this.#input !== undefined) this.#copyIn(this.#input, closeStdin).catch(() => {});
  }

  async #copyIn({ fifo, from }: { fifo: Descriptor; from: Input }, closeStdin: () => Promise<void>): Promise<void> {
    await copyIn(from, fifo.fd, this.#stop.signal);
    // As long as anyone has it open for writing, its reader sees no end.
    fifo[Symbol.dispose]();
    await closeStdin();
  }

  /** Doesn't remove the FIFOs. */
  leaveFiles(): void {
    this.#files.move();
  }

  /** Waits until all output has been read, which is after the last process that holds it has ended. False: it took too long. */
  async drained(timeoutMs: number): Promise<boolean> {
    if (timeoutMs === 0) {
      await this.#copies;
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), timeoutMs);
    void this.#copies.then(() => resolve(true));
    return promise.finally(() => clearTimeout(timer));
  }

  [Symbol.dispose](): void {
    // Before any descriptor is closed, whose number may be another's at once.
    this.#stop.abort(canceled("the command has ended"));
    this.#undo.dispose();
    this.#files.dispose();
  }
}

function resize(fd: number, bytes: number): void {
  try {
    setPipeCapacity(fd, bytes);
  } catch (error) {
    // The user's share of pipe memory is used up, or there is more in it: the size it has will do.
    if (!isErrno(error, "EPERM", "EBUSY")) throw error;
  }
}

/** Closes an output that nobody reads any more. What its process still writes isn't to take memory for as long as that lives. */
function letGo(end: Descriptor): void {
  if (end.fd < 0) return;
  const buffer = new Uint8Array(smallestPipe);
  let dropped = 0;
  for (let count = read(end.fd, buffer); count && dropped < capacity; count = read(end.fd, buffer)) dropped += count;
  if (dropped > 0) resize(end.fd, smallestPipe);
  end[Symbol.dispose]();
}
