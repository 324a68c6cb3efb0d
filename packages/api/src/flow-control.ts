import type { EventEmitter } from "node:events";

/**
 * Mends how Bun (1.4) counts HTTP/2's flow control windows. A SETTINGS frame that changes SETTINGS_INITIAL_WINDOW_SIZE changes the window of
 * every open stream by the difference (RFC 9113, section 6.9.2). Bun takes the new size or what the stream has, whichever is more: what
 * WINDOW_UPDATE frames have added before is lost, and a stream may come to wait for room that the other side has given long ago. Go's gRPC does
 * change it amid a transfer, as soon as it has measured the connection; reading or writing a few megabytes then stands still for ever.
 *
 * What is lost is given back in a WINDOW_UPDATE frame right behind the SETTINGS frame.
 */

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const headSize = 9;
const frames = { reset: 3, settings: 4, windowUpdate: 8 } as const;
const acknowledged = 1;
const initialWindowSize = 4;

interface Window {
  /** What Bun counts, and what it should, in bytes since the stream began. */
  counted: number;
  due: number;
}

/** Streams are forgotten when they are reset or many newer ones have come: an update for one that has ended does nothing. */
const maxStreams = 1000;

/** The bytes that arrive on one connection, with what Bun loses of them put in. */
export class WindowRepair {
  #prefaceLeft: number;
  #initial = 65_535;
  readonly #head = Buffer.alloc(headSize);
  #headLength = 0;
  #bodyLeft = 0;
  #body: Uint8Array[] = [];
  readonly #streams = new Map<number, Window>();

  /** @param side which one we are: a client's frames come behind a preface */
  constructor(side: "server" | "client") {
    this.#prefaceLeft = side === "server" ? preface.length : 0;
  }

  /** Gives the chunk, in pieces if something is to be put in between. */
  *pass(chunk: Buffer): Generator<Buffer, void, undefined> {
    let start = 0;
    let at = Math.min(this.#prefaceLeft, chunk.length);
    this.#prefaceLeft -= at;
    while (at < chunk.length) {
      if (this.#headLength < headSize) {
        const taken = chunk.copy(this.#head, this.#headLength, at);
        this.#headLength += taken;
        at += taken;
        if (this.#headLength < headSize) break;
        this.#bodyLeft = this.#head.readUIntBE(0, 3);
      }
      const end = Math.min(at + this.#bodyLeft, chunk.length);
      if (this.#matters() && end > at) this.#body.push(chunk.subarray(at, end));
      this.#bodyLeft -= end - at;
      at = end;
      if (this.#bodyLeft > 0) break;
      this.#headLength = 0;
      const updates = this.#matters() ? this.#frame(Buffer.concat(this.#body)) : undefined;
      if (updates === undefined) continue;
      yield chunk.subarray(start, at);
      start = at;
      yield updates;
    }
    if (start < chunk.length) yield chunk.subarray(start);
  }

  #matters(): boolean {
    const type = this.#head[3];
    return type === frames.windowUpdate || type === frames.settings || type === frames.reset;
  }

  /** Takes note of a frame; gives those to put in behind it. */
  #frame(body: Buffer): Buffer | undefined {
    this.#body = [];
    const stream = this.#head.readUInt32BE(5) & 0x7fff_ffff;
    switch (this.#head[3]) {
      case frames.reset:
        this.#streams.delete(stream);
        return undefined;
      case frames.windowUpdate:
        if (stream !== 0 && body.length === 4) this.#update(stream, body.readUInt32BE(0) & 0x7fff_ffff);
        return undefined;
      default:
        return ((this.#head[4] ?? 0) & acknowledged) === 0 ? this.#settings(body) : undefined;
    }
  }

  #update(stream: number, increment: number): void {
    const { counted, due } = this.#streams.get(stream) ?? { counted: this.#initial, due: this.#initial };
    this.#streams.set(stream, { counted: counted + increment, due: due + increment });
    const [oldest] = this.#streams.keys();
    if (this.#streams.size > maxStreams && oldest !== undefined) this.#streams.delete(oldest);
  }

  #settings(body: Buffer): Buffer | undefined {
    let initial = this.#initial;
    for (let at = 0; at + 6 <= body.length; at += 6)
      if (body.readUInt16BE(at) === initialWindowSize) initial = body.readUInt32BE(at + 2);
    const difference = initial - this.#initial;
    this.#initial = initial;
    if (difference === 0) return undefined;
    const updates: Buffer[] = [];
    for (const [stream, window] of this.#streams) {
      window.due += difference;
      window.counted = Math.max(window.counted, initial);
      if (window.due <= window.counted) continue;
      updates.push(windowUpdate(stream, window.due - window.counted));
      window.counted = window.due;
    }
    return updates.length === 0 ? undefined : Buffer.concat(updates);
  }
}

function windowUpdate(stream: number, increment: number): Buffer {
  const frame = Buffer.alloc(headSize + 4);
  frame.writeUIntBE(4, 0, 3);
  frame[3] = frames.windowUpdate;
  frame.writeUInt32BE(stream, 5);
  frame.writeUInt32BE(increment, headSize);
  return frame;
}

/**
 * A socket for an HTTP/2 session to use instead, whose bytes go through a `WindowRepair` first. Only under Bun; elsewhere it is the socket
 * itself.
 */
export function withWindowRepair<S extends EventEmitter>(socket: S, side: "server" | "client"): S {
  if (process.versions.bun === undefined) return socket;
  const repair = new WindowRepair(side);
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...values: unknown[]): boolean => {
    const [chunk] = values;
    if (event !== "data" || !Buffer.isBuffer(chunk)) return emit(event, ...values);
    let heard = false;
    for (const piece of repair.pass(chunk)) heard = emit(event, piece) || heard;
    return heard;
  };
  return new Proxy(socket, {
    get(target, name) {
      // Where it sees a handle, Bun's session reads in native code, past the socket.
      if (name === "_handle") return undefined;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}
