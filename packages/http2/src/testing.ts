import type { ByteLink, LinkReceiver } from "@hull/link";
/** One end of a pair of links in memory. */
export interface TestLink extends ByteLink {
  /** Bytes that were written here, all together. */
  readonly written: Uint8Array;
  /** True after `close` or `destroy`, of either end. */
  readonly closed: boolean;
  /** Passes on so much of what was written here, to the other end if that reads; returns how much it was. */
  deliver(bytes?: number): number;
}

/** Two ends of a connection without a kernel between; nothing moves unless it is delivered. `room`: bytes that an end takes at once. */
export function linkPair(room = Number.POSITIVE_INFINITY): [TestLink, TestLink] {
  const a = new MemoryLink(room);
  const b = new MemoryLink(room);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

class MemoryLink implements TestLink {
  peer: MemoryLink | undefined;
  closed = false;
  readonly #room: number;
  readonly #all: Uint8Array[] = [];
  #pending: Buffer = Buffer.alloc(0);
  #receiver: LinkReceiver | undefined;
  #paused = false;
  #closing = false;
  #drained: (() => void)[] = [];

  constructor(room: number) {
    this.#room = room;
  }

  get written(): Uint8Array {
    return Buffer.concat(this.#all);
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed) return true;
    // Copied: whoever lends bytes and then writes into them should be found out by what the other end reads.
    const copy = Uint8Array.from(bytes);
    this.#all.push(copy);
    this.#pending = Buffer.concat([this.#pending, copy]);
    return this.#pending.length <= this.#room;
  }

  writeLent(bytes: Uint8Array): boolean {
    return this.write(bytes);
  }

  drained(): Promise<void> {
    if (this.closed || this.#pending.length <= this.#room) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  close(): void {
    this.#closing = true;
    this.#closeIfDone();
  }

  destroy(): void {
    this.#endBoth();
  }

  deliver(bytes = Number.POSITIVE_INFINITY): number {
    const { peer } = this;
    if (this.closed || peer === undefined || peer.#paused) return 0;
    const chunk = Uint8Array.from(this.#pending.subarray(0, bytes));
    this.#pending = this.#pending.subarray(chunk.length);
    if (chunk.length > 0) peer.#receiver?.data(chunk);
    if (this.#pending.length <= this.#room) for (const resolve of this.#drained.splice(0)) resolve();
    this.#closeIfDone();
    return chunk.length;
  }

  #closeIfDone(): void {
    if (!this.#closing || this.#pending.length > 0) return;
    this.#endBoth();
  }

  #endBoth(): void {
    this.#end();
    if (this.peer !== undefined) this.peer.#end();
  }

  #end(): void {
    if (this.closed) return;
    this.closed = true;
    for (const resolve of this.#drained.splice(0)) resolve();
    this.#receiver?.closed();
  }
}
