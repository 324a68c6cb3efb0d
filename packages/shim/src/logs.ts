/**
 * Output that is logged: the process writes into a pipe of the shim's, never into the file itself, whose mode, owner and length would be the
 * process's to change.
 */

import { unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { close, pipe, read, setNonBlocking } from "@hull/sys/fd";
import { kill } from "@hull/sys/process";
import { ready } from "@hull/sys/watch";
import type { Children } from "./children.ts";
import type { LogFile } from "./log-file.ts";
import { pump, readLent } from "./pump.ts";

/** Whose output it is. */
export interface LogOwner {
  /** Of the container, or of the exec. */
  readonly id: string;
  readonly namespace: string;
  readonly children: Children;
}

/** Where output goes. */
export interface OutputSink {
  /** The bytes are lent until it returns. A promise says when it wants more. */
  take(chunk: Buffer): Promise<void> | undefined;
  /** Nobody writes any more. */
  end(): void;
  /** All is given that will be. */
  close(): void;
}

/** A log file as a sink. */
export function fileSink(file: LogFile): OutputSink {
  return {
    take(chunk) {
      try {
        file.write(chunk);
      } catch {
        // The disk is full, say: what can't be kept is lost, but the process is not to stand still, or die, for that.
      }
      return undefined;
    },
    end() {},
    close: () => file.close(),
  };
}

/** Copies what is written into a pipe. */
export class LogPipe {
  /** Where to write to; closed by whoever hands it to a process. */
  readonly writeEnd: number;
  readonly #readEnd: number;
  readonly #sink: OutputSink;
  readonly #stop = new AbortController();
  readonly #copied: Promise<void>;
  #open = true;

  constructor(sink: OutputSink) {
    this.#sink = sink;
    const ends = pipe();
    this.writeEnd = ends.write;
    this.#readEnd = ends.read;
    setNonBlocking(ends.read, true);
    this.#copied = this.#copy();
  }

  async #copy(): Promise<void> {
    try {
      // The shim lives for the container, not for its log.
      await pump(this.#readEnd, (chunk) => this.#sink.take(chunk), { signal: this.#stop.signal, keepAlive: false });
      this.#sink.end();
    } catch {
      // Stopped.
    } finally {
      this.#end();
    }
  }

  /** Takes what is in the pipe now: all that a process which has ended has written. */
  flush(): void {
    if (!this.#open) return;
    for (let chunk = readLent(this.#readEnd); chunk !== undefined; chunk = readLent(this.#readEnd)) {
      if (chunk.length === 0) {
        this.#sink.end();
        return;
      }
      void this.#sink.take(chunk);
    }
  }

  /** Resolves when nobody has the writing end any more, and all has been taken. */
  get drained(): Promise<void> {
    return this.#copied;
  }

  close(): void {
    this.flush();
    this.#stop.abort();
  }

  #end(): void {
    if (!this.#open) return;
    this.#open = false;
    close(this.#readEnd);
    this.#sink.close();
  }
}

/** How long a logging process may take to end when it is told to. */
const endMs = 12_000;

const SIGTERM = 15;
const SIGKILL = 9;

/**
 * A program that takes the output: it reads stdout from its descriptor 3 and stderr from 4, and says on 5 that it is ready.
 *
 *   binary      ready when it closes descriptor 5 (or writes to it)
 *   binary-v2   ready when it writes a byte to it; closing it without is a failure
 *
 * Protocol: containerd's runtime v2 documentation, "Logging".
 */
export class LoggerProcess {
  /** Writing ends of its two inputs; closed by whoever hands them to a process. */
  readonly stdout: number;
  readonly stderr: number;
  readonly #pid: number;
  readonly #ended: Promise<unknown>;
  #running = true;

  private constructor(ends: { stdout: number; stderr: number }, pid: number, ended: Promise<unknown>) {
    this.stdout = ends.stdout;
    this.stderr = ends.stderr;
    this.#pid = pid;
    this.#ended = ended.then(() => {
      this.#running = false;
    });
  }

  /** Starts it and waits until it is ready. @throws Unknown */
  static async start(
    { path, args, version }: { path: string; args: readonly string[]; version: 1 | 2 },
    { id, namespace, children }: LogOwner,
  ): Promise<LoggerProcess> {
    using undo = new DisposableStack();
    const ends = () => {
      const { read: input, write } = pipe();
      undo.defer(() => close(write));
      return { input, write };
    };
    const [stdout, stderr, readiness] = [ends(), ends(), pipe()];
    let child: Bun.Subprocess;
    try {
      child = Bun.spawn([path, ...args], {
        env: { CONTAINER_ID: id, CONTAINER_NAMESPACE: namespace },
        stdio: ["ignore", "ignore", "ignore", stdout.input, stderr.input, readiness.write],
      });
    } catch (cause) {
      close(readiness.read);
      const reason = `failed to start binary process: fork/exec ${path}: ${reasonOf(cause)}`;
      throw unknown(`failed to create init process I/O: ${reason}`, { cause });
    } finally {
      for (const fd of [stdout.input, stderr.input, readiness.write]) close(fd);
    }
    const ended = children.run(() => child);
    const logger = new LoggerProcess({ stdout: stdout.write, stderr: stderr.write }, child.pid, ended);
    const byte = await firstByte(readiness.read);
    if (version === 2 && byte === undefined) {
      await logger.stop();
      throw unknown(`logging process "${path}" closed its descriptor 5 without saying that it is ready`);
    }
    undo.move();
    return logger;
  }

  /** Has it end, which it is given some seconds for. Its inputs should have ended before. */
  async stop(): Promise<void> {
    this.#signal(SIGTERM);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, endMs);
    await Promise.race([this.#ended, promise]);
    clearTimeout(timer);
    this.kill();
  }

  kill(): void {
    this.#signal(SIGKILL);
  }

  #signal(signal: number): void {
    // Its status is taken by the runtime in the moment in which `running` becomes false.
    if (!this.#running) return;
    try {
      kill(this.#pid, signal);
    } catch (error) {
      if (!isErrno(error, "ESRCH")) throw error;
    }
  }
}

async function firstByte(fd: number): Promise<number | undefined> {
  try {
    await ready(fd, "read");
    const byte = new Uint8Array(1);
    return read(fd, byte) === 1 ? byte[0] : undefined;
  } finally {
    close(fd);
  }
}

function reasonOf(error: unknown): string {
  if (isErrno(error, "ENOENT")) return "no such file or directory";
  if (isErrno(error, "EACCES")) return "permission denied";
  return error instanceof Error ? error.message : String(error);
}
