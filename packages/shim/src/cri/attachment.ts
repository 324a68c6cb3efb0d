/**
 * A client that takes part in a process's streams, by descriptors of its own: FIFOs, whose other ends it has.
 *
 * It is given what is read while it is there. One that doesn't keep up holds the process up, as it does with containerd, so that it misses
 * nothing; but not for ever: when it has taken nothing for a while it is let go, and the process goes on.
 */

import { resourceExhausted } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { close, write } from "@hull/sys/fd";
import { ready } from "@hull/sys/watch";
import type { OutputName } from "./log-lines.ts";

/** Descriptors, non-blocking, that are the attachment's from then on. */
export interface ClientEnds {
  /** What the client brings. */
  readonly stdin?: number;
  /** Where it wants output. */
  readonly stdout?: number;
  readonly stderr?: number;
}

/** How long a client may take nothing of what waits for it. */
const defaultPatienceMs = 10_000;

/** One client's side. */
export class Attachment {
  readonly #ends: ClientEnds;
  readonly #patienceMs: number;
  readonly #over = Promise.withResolvers<void>();
  readonly #stop = new AbortController();
  /** What an output couldn't take at once is on its way: resolves when the client has it, or has gone. */
  readonly #behind = new Map<OutputName, Promise<void>>();

  constructor(ends: ClientEnds, { patienceMs = defaultPatienceMs } = {}) {
    this.#ends = ends;
    this.#patienceMs = patienceMs;
    // Whoever wants to know waits for it.
    this.#over.promise.catch(() => {});
  }

  /** Where the client's input is read; undefined if it has none, or has gone. */
  get input(): number | undefined {
    return this.#isOver ? undefined : this.#ends.stdin;
  }

  /** Aborted when it is over: its descriptors are closed then. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Resolves when it is over. @throws ResourceExhausted if the client was let go */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  get wantsAny(): boolean {
    return this.wants("stdout") || this.wants("stderr");
  }

  wants(output: OutputName): boolean {
    return this.#ends[output] !== undefined && !this.#isOver;
  }

  get #isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Gives it bytes, which are lent until this returns. @returns when to go on, if the client is too far behind */
  give(output: OutputName, bytes: Uint8Array): Promise<void> | undefined {
    const fd = this.#ends[output];
    if (fd === undefined || this.#isOver) return undefined;
    const before = this.#behind.get(output);
    const taken = before === undefined ? this.#write(fd, bytes) : 0;
    if (taken === bytes.length || this.#isOver) return undefined;
    const rest = new Uint8Array(bytes.subarray(taken));
    const sent = (before ?? Promise.resolve()).then(() => this.#send(fd, rest));
    this.#behind.set(output, sent);
    return sent.then(() => {
      if (this.#behind.get(output) === sent) this.#behind.delete(output);
    });
  }

  async #send(fd: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#isOver; ) {
      const count = this.#write(fd, bytes.subarray(at));
      if (count === 0) await this.#room(fd);
      at += count;
    }
  }

  /** What the descriptor takes now. A client that doesn't read any more has gone. */
  #write(fd: number, bytes: Uint8Array): number {
    try {
      return write(fd, bytes) ?? 0;
    } catch (error) {
      this.end(isErrno(error, "EPIPE") ? undefined : error);
      return 0;
    }
  }

  async #room(fd: number): Promise<void> {
    if (this.#isOver) return;
    const seconds = this.#patienceMs / 1000;
    const timer = setTimeout(() => {
      this.end(resourceExhausted(`the attached client has taken no output for ${seconds} seconds: it is let go`));
    }, this.#patienceMs);
    timer.unref();
    await ready(fd, "write", { signal: this.signal, keepAlive: false }).catch(() => {});
    clearTimeout(timer);
  }

  /** Nothing more comes: it is over when the client has what it was given. */
  finish(): void {
    if (this.#behind.size === 0) this.end();
    else void Promise.all(this.#behind.values()).then(() => this.end());
  }

  /** It is over now. */
  end(error?: unknown): void {
    if (this.#isOver) return;
    // Before any descriptor is closed, whose number may be another's at once.
    this.#stop.abort();
    for (const fd of [this.#ends.stdin, this.#ends.stdout, this.#ends.stderr]) if (fd !== undefined) close(fd);
    if (error === undefined) this.#over.resolve();
    else this.#over.reject(error);
  }
}
