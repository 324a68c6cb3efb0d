import type { Input } from "./streams.ts";

/** Bytes of one stream that are kept for a slow reader before the client is held back. */
const capacity = 256 * 1024;

/** Who is told that a stream has too much, or room again. */
export interface Flow {
  hold(who: object): void;
  release(who: object): void;
}

/**
 * What has come for one stream, until it is read.
 *
 *   push … push ──► end
 *
 * Iterated once; a reader that stops early wants no more: the rest is dropped.
 */
export class Inbox implements Input {
  readonly #flow: Flow;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(flow: Flow) {
    this.#flow = flow;
  }

  /** Takes a piece, which may be part of a larger buffer. */
  push(piece: Uint8Array): void {
    if (this.#ended || piece.length === 0) return;
    // A few bytes are not to keep all that came with them.
    this.#chunks.push(piece.length * 4 < piece.buffer.byteLength ? piece.slice() : piece);
    this.#size += piece.length;
    if (this.#size > capacity) this.#flow.hold(this);
    this.#wake?.();
  }

  /** Nothing more comes; what is here can be read. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Nobody reads it, or will go on to. */
  discard(): void {
    this.#chunks = [];
    this.#size = 0;
    this.end();
    this.#flow.release(this);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#size -= chunk.length;
          if (this.#size <= capacity / 2) this.#flow.release(this);
          yield chunk;
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
        }
      }
    } finally {
      this.discard();
    }
  }
}
