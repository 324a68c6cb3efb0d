/** One connection, both ways, by as few calls as can be: it is not to be what is measured. Blocks the process until all has been said. */

import { arch } from "@hull/sys/arch";
import { errno, isErrno, SysError } from "@hull/sys/errno";
import { close, read, write } from "@hull/sys/fd";
import { lastErrno, libc } from "@hull/sys/libc";
import { addToSet, epollSet } from "@hull/sys/readiness/epoll";

const EPOLLIN = 1;
const EPOLLOUT = 4;
const largestRead = 1024 * 1024;

/** What is to be sent. */
export interface Outgoing {
  /** More of it, valid until the next call; undefined when that was all, `wait` when it may be more once something has come. */
  next(): Uint8Array | "wait" | undefined;
  /** Called once, when all has been written. */
  finished?(): void;
}

/** What comes. */
export interface Incoming {
  /** The bytes are lent. */
  take(bytes: Uint8Array): void;
  /** Nothing more is waited for. */
  readonly complete: boolean;
}

/** Sends and takes, until the incoming side is complete or the connection has ended. `fd` is non-blocking. @throws SysError */
export function exchange(fd: number, outgoing: Outgoing, incoming: Incoming): void {
  const [reads, both] = [epollSet(), epollSet()];
  addToSet(reads, fd, EPOLLIN);
  addToSet(both, fd, EPOLLIN | EPOLLOUT);
  try {
    new Exchange(fd, outgoing, incoming, { reads, both }).run();
  } finally {
    close(reads);
    close(both);
  }
}

class Exchange {
  readonly #fd: number;
  readonly #outgoing: Outgoing;
  readonly #incoming: Incoming;
  readonly #sets: { readonly reads: number; readonly both: number };
  readonly #buffer = new Uint8Array(largestRead);
  /** What the connection hasn't taken yet. */
  #rest: Uint8Array | undefined = new Uint8Array(0);
  #ended = false;

  constructor(fd: number, outgoing: Outgoing, incoming: Incoming, sets: { reads: number; both: number }) {
    this.#fd = fd;
    this.#outgoing = outgoing;
    this.#incoming = incoming;
    this.#sets = sets;
  }

  run(): void {
    while (!this.#incoming.complete && !this.#ended) {
      const blocked = this.#sendSome();
      const ready = waitFor(blocked ? this.#sets.both : this.#sets.reads);
      if ((ready & ~EPOLLOUT) !== 0) this.#take();
    }
  }

  /** What the other side said before it went is still there to be read. */
  #sendSome(): boolean {
    try {
      return this.#send();
    } catch (error) {
      if (!isErrno(error, "ECONNRESET", "EPIPE")) throw error;
      this.#rest = undefined;
      return false;
    }
  }

  /** Sends what can be sent. @returns whether the connection takes no more for now */
  #send(): boolean {
    while (this.#rest !== undefined) {
      if (this.#rest.length === 0) {
        const next = this.#outgoing.next();
        if (next === "wait") return false;
        this.#rest = next;
        if (next === undefined) this.#outgoing.finished?.();
        continue;
      }
      const count = write(this.#fd, this.#rest);
      if (count === undefined) return true;
      this.#rest = this.#rest.subarray(count);
    }
    return false;
  }

  #take(): void {
    const count = read(this.#fd, this.#buffer);
    if (count === 0) this.#ended = true;
    else if (count !== undefined) this.#incoming.take(this.#buffer.subarray(0, count));
  }
}

const events = new Uint8Array(arch.epollEventSize);
const view = new DataView(events.buffer);

/** @returns what a set's one descriptor is ready for */
function waitFor(set: number): number {
  for (;;) {
    if (libc.epoll_wait(set, events, 1, -1) === 1) return view.getUint32(0, true);
    const error = lastErrno();
    if (error !== errno.EINTR) throw new SysError(error, "epoll_wait", "");
  }
}
