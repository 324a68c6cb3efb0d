import type { ByteLink, LinkReceiver } from "@hull/link";

/** Numbers of the connections inside a plugin's: the services that each side serves. */
export const channels = { plugin: 1, runtime: 2 } as const;

const headerLength = 8;
/** The longest piece that is sent: plugins' own end reads through a buffer of this size, which must not fill up in between. */
const longestPiece = 4096;
/** The longest piece that is taken: a whole message of ttrpc. */
const longestTaken = (4 << 20) + 10;
/** Bytes that may wait for a channel that isn't read. */
const maximumWaiting = 16 << 20;

/**
 * Several connections over one: each piece follows the number of its connection and its length, both 32 bits, big end first. Opening one
 * sends nothing; the other side is to know the numbers. Source: NRI's `pkg/net/multiplex`.
 */
export class Mux {
  readonly #trunk: ByteLink;
  readonly #channels = new Map<number, Channel>();
  #rest = new Uint8Array(0);
  #closed = false;

  constructor(trunk: ByteLink) {
    this.#trunk = trunk;
  }

  /** A connection of this number. All are to be opened before `start`. */
  open(id: number): ByteLink {
    const channel = new Channel(id, this);
    this.#channels.set(id, channel);
    return channel;
  }

  /** Begins to read. */
  start(): void {
    this.#trunk.start({
      data: (chunk) => this.#receive(chunk),
      closed: (cause) => this.#end(cause),
    });
  }

  close(): void {
    this.#trunk.close();
  }

  write(id: number, bytes: Uint8Array): boolean {
    let taken = true;
    for (let at = 0; at < bytes.length && !this.#closed; at += longestPiece) {
      const piece = bytes.subarray(at, at + longestPiece);
      const frame = new Uint8Array(headerLength + piece.length);
      const view = new DataView(frame.buffer);
      view.setUint32(0, id);
      view.setUint32(4, piece.length);
      frame.set(piece, headerLength);
      taken = this.#trunk.write(frame);
    }
    return taken;
  }

  drained(): Promise<void> {
    return this.#trunk.drained();
  }

  #receive(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    let at = 0;
    while (bytes.length - at >= headerLength && !this.#closed) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, headerLength);
      const length = view.getUint32(4);
      if (length > longestTaken) {
        this.#fail(`a piece of ${length} bytes is longer than ${longestTaken}`);
        return;
      }
      if (bytes.length - at < headerLength + length) break;
      const piece = bytes.slice(at + headerLength, at + headerLength + length);
      at += headerLength + length;
      // What is for nobody is dropped.
      const channel = this.#channels.get(view.getUint32(0));
      if (channel?.deliver(piece) === false) {
        this.#fail("too much waits to be read");
        return;
      }
    }
    this.#rest = bytes.slice(at);
  }

  #fail(why: string): void {
    this.#end(new Error(why));
    this.#trunk.destroy();
  }

  #end(cause: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const channel of this.#channels.values()) channel.end(cause);
  }
}

/** One connection. Closing it closes all: neither side can tell the other of one alone. */
class Channel implements ByteLink {
  readonly #id: number;
  readonly #mux: Mux;
  #receiver: LinkReceiver | undefined;
  #paused = false;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #end: { cause: unknown } | undefined;

  constructor(id: number, mux: Mux) {
    this.#id = id;
    this.#mux = mux;
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#flush();
  }

  write(bytes: Uint8Array): boolean {
    return this.#mux.write(this.#id, bytes);
  }

  writeLent(bytes: Uint8Array): boolean {
    // Each piece is copied into its frame.
    return this.#mux.write(this.#id, bytes);
  }

  drained(): Promise<void> {
    return this.#mux.drained();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#flush();
  }

  close(): void {
    this.#mux.close();
  }

  destroy(): void {
    this.#mux.close();
  }

  /** False if there is no room for it. */
  deliver(piece: Uint8Array): boolean {
    this.#waiting.push(piece);
    this.#waitingBytes += piece.length;
    this.#flush();
    return this.#waitingBytes <= maximumWaiting;
  }

  end(cause: unknown): void {
    this.#end = { cause };
    this.#paused = false;
    this.#flush();
  }

  #flush(): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    while (!this.#paused) {
      const piece = this.#waiting.shift();
      if (piece === undefined) break;
      this.#waitingBytes -= piece.length;
      receiver.data(piece);
    }
    if (this.#end === undefined || this.#waiting.length > 0) return;
    this.#receiver = undefined;
    receiver.closed(this.#end.cause);
  }
}
