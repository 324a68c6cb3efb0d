import type { FieldList } from "./fields.ts";
import type { Stream } from "./stream.ts";

/** How many streams that were taken back are remembered: those whose frames may still be under way. */
const mostResets = 1024;

/** The streams of a connection: those that are open, those of a client that wait to be, and those that were taken back lately. */
export class Streams {
  /** The last that was opened, by the client here or there. */
  lastId: number;
  readonly #open = new Map<number, Stream>();
  readonly #waiting = new Map<Stream, FieldList>();
  readonly #resets = new Set<number>();

  constructor(isServer: boolean) {
    this.lastId = isServer ? 0 : -1;
  }

  /** Streams that are open. */
  get open(): number {
    return this.#open.size;
  }

  /** Streams that are open or wait to be. */
  get size(): number {
    return this.#open.size + this.#waiting.size;
  }

  get(id: number): Stream | undefined {
    return this.#open.get(id);
  }

  add(stream: Stream): void {
    this.#open.set(stream.id, stream);
  }

  /** False if it was not open. */
  delete(stream: Stream): boolean {
    return this.#open.delete(stream.id);
  }

  values(): IterableIterator<Stream> {
    return this.#open.values();
  }

  /** Keeps a client's stream until there is room for it. */
  wait(stream: Stream, fields: FieldList): void {
    this.#waiting.set(stream, fields);
  }

  /** False if it did not wait. */
  leave(stream: Stream): boolean {
    return this.#waiting.delete(stream);
  }

  waiting(): IterableIterator<[Stream, FieldList]> {
    return this.#waiting.entries();
  }

  /** Forgets all, and gives them. */
  clear(): Stream[] {
    const all = [...this.#open.values(), ...this.#waiting.keys()];
    this.#open.clear();
    this.#waiting.clear();
    return all;
  }

  /** True for a stream that nobody has opened; a server opens none. */
  isIdle(id: number): boolean {
    return id % 2 === 0 || id > this.lastId;
  }

  /** What the peer sent of this stream before it knew that it was taken back is to be passed over (RFC 9113, section 5.1). */
  markReset(id: number): void {
    this.#resets.add(id);
    if (this.#resets.size <= mostResets) return;
    for (const oldest of this.#resets) {
      this.#resets.delete(oldest);
      return;
    }
  }

  wasReset(id: number): boolean {
    return this.#resets.has(id);
  }
}
