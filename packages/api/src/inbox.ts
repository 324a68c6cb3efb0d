import type { HullError } from "@hull/errors";

/**
 * Messages of one stream, from the transport that reads them to the one loop that takes them.
 *
 *   push … push ──► end() or fail(error); the first of these counts. Leaving the loop drops what is left and all that follows.
 *
 * `onSize` hears how the bytes held change, so that its filler can stop reading when too much is held.
 */
export class Inbox implements AsyncIterable<Uint8Array> {
  readonly #onSize: (change: number) => void;
  #messages: Uint8Array[] = [];
  #end: { error?: HullError } | undefined;
  #wake: (() => void) | undefined;

  constructor(onSize: (change: number) => void = () => {}) {
    this.#onSize = onSize;
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  push(message: Uint8Array): void {
    if (this.#end) return;
    this.#messages.push(message);
    this.#onSize(message.length);
    this.#wake?.();
  }

  /** After the messages that are here the loop ends. */
  end(): void {
    this.#end ??= {};
    this.#wake?.();
  }

  /** After the messages that are here the loop throws. */
  fail(error: HullError): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** Drops what is here: nobody takes it any more. */
  drop(): void {
    for (const { length } of this.#messages) this.#onSize(-length);
    this.#messages = [];
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const message = this.#messages.shift();
        if (message !== undefined) {
          this.#onSize(-message.length);
          yield message;
        } else if (this.#end) {
          if (this.#end.error) throw this.#end.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
        }
      }
    } finally {
      this.drop();
    }
  }
}

/** Something that can stop reading and go on. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/** An inbox that makes what fills it pause while it holds more than `high` bytes, until it holds less than a quarter of them. */
export function pausingInbox(source: Pausable, high: number): Inbox {
  let held = 0;
  let paused = false;
  return new Inbox((change) => {
    held += change;
    if (!paused && held > high) {
      paused = true;
      source.pause();
    } else if (paused && held <= high / 4) {
      paused = false;
      source.resume();
    }
  });
}
