import { defaultWindow, errorCodes } from "./codes.ts";
import type { FieldList } from "./fields.ts";

/** Why a stream is over. */
export type StreamEnd =
  /** Both sides have said all. */
  | { readonly kind: "done" }
  /** Taken back with one of `errorCodes`, by the peer or for what the peer did wrong. */
  | { readonly kind: "reset"; readonly code: number }
  /** The peer has not looked at it, since it is going away: the request may be sent again elsewhere. */
  | { readonly kind: "refused" }
  /** The connection is gone. */
  | { readonly kind: "lost"; readonly cause: unknown };

/**
 * Who takes what a stream receives.
 *
 *   headers (a client's; 1xx left out) ──► data … data ──► trailers, if there are any ──► ended ──► closed
 *
 * `closed` comes last, once and always, except after `Stream.reset`, upon which nothing comes any more.
 */
export interface StreamReceiver {
  headers?(fields: FieldList): void;
  /** The chunk is the receiver's: nobody writes to it again. */
  data(chunk: Uint8Array): void;
  trailers?(fields: FieldList): void;
  /** The peer has said all. */
  ended(): void;
  closed(end: StreamEnd): void;
}

/** What a stream asks of its connection. */
export interface StreamHost {
  /** Sends the header block that a server answers with, or trailers. */
  sendHeaders(stream: Stream, fields: FieldList, endStream: boolean): void;
  /** Sends what fits at once, if it is little; false if it has to be queued. */
  sendNow(stream: Stream, parts: readonly Uint8Array[], endStream: boolean): boolean;
  /** The stream has something queued, or has ended. */
  sendQueued(stream: Stream): void;
  sendReset(stream: Stream, code: number): void;
  sendWindowUpdate(stream: Stream, increment: number): void;
  /** Both sides have ended. */
  finished(stream: Stream): void;
}

/** Bytes of a stream that may wait to be sent before its writer should. */
const highWater = 512 * 1024;

const nothing: readonly Uint8Array[] = [];

const done: StreamEnd = { kind: "done" };

/**
 * One request and its answer on a connection (RFC 9113, section 5).
 *
 *   respond(fields)? ──► write … write ──► end(trailers?)      reset(code) at any time
 */
export class Stream {
  /** 0 while a client's waits until it may be opened. */
  id: number;
  receiver: StreamReceiver;
  /** Bytes that the peer lets us send; below 0 after it made its windows smaller. */
  sendWindow: number;
  /** Bytes that we let the peer send. */
  receiveWindow: number;
  /** The first block of fields has come. */
  opened = false;
  remoteEnded = false;
  /** Our last frame of this stream is on its way. */
  localEnded = false;
  /** Nothing is sent or received any more. */
  closed = false;
  /** In the connection's queue of streams that have something to send. */
  ready = false;
  readonly #host: StreamHost;
  /** Bytes after which the peer is told that they were taken. */
  readonly #updateAt: number;
  #responded = false;
  /** `end` was called. */
  #ending = false;
  #trailers: FieldList | undefined;
  #queue: Uint8Array[] = [];
  /** Bytes of the first in the queue that are sent. */
  #sent = 0;
  #queued = 0;
  #drained: (() => void)[] = [];
  #paused = false;
  /** Bytes taken that the peer wasn't told of yet. */
  #taken = 0;

  constructor(
    host: StreamHost,
    id: number,
    receiver: StreamReceiver,
    windows: { readonly send: number; readonly receive: number },
  ) {
    this.#host = host;
    this.id = id;
    this.receiver = receiver;
    this.sendWindow = windows.send;
    // Until it has read our settings the peer goes by the default.
    this.receiveWindow = Math.max(windows.receive, defaultWindow);
    this.#updateAt = Math.max(1, windows.receive >>> 1);
  }

  /** True once a server has answered with headers. */
  get responded(): boolean {
    return this.#responded;
  }

  /** Bytes that wait to be sent. */
  get queued(): number {
    return this.#queued;
  }

  /** True if what is queued is all that will be sent. */
  get ending(): boolean {
    return this.#ending;
  }

  /** What is sent after what is queued. */
  get finalFields(): FieldList | undefined {
    return this.#trailers;
  }

  /** A server's headers; with `end` they are all of the answer. */
  respond(fields: FieldList, end = false): void {
    if (this.closed || this.#responded) return;
    this.#responded = true;
    if (end) this.#ending = true;
    this.#host.sendHeaders(this, fields, end);
  }

  /**
   * Sends bytes that come in parts, which are the stream's from now on; parts share a frame where they fit.
   *
   * @returns false if the next should wait until the stream is `drained`
   */
  write(parts: readonly Uint8Array[], end = false): boolean {
    if (this.closed || this.#ending) return true;
    if (end) this.#ending = true;
    if (this.#queued === 0 && this.id !== 0 && this.#host.sendNow(this, parts, end)) return true;
    for (const part of parts) this.#push(part);
    this.#host.sendQueued(this);
    return this.#queued < highWater;
  }

  /** Says that this was all, after what is queued. */
  end(trailers?: FieldList): void {
    if (this.closed || this.#ending) return;
    this.#ending = true;
    if (trailers !== undefined && this.#queued === 0) {
      this.#host.sendHeaders(this, trailers, true);
      return;
    }
    this.#trailers = trailers;
    const isFree = trailers === undefined && this.#queued === 0 && this.id !== 0;
    if (!isFree || !this.#host.sendNow(this, nothing, true)) this.#host.sendQueued(this);
  }

  /** Resolves when more may be written, or nothing can be any more. */
  drained(): Promise<void> {
    if (this.closed || this.#queued < highWater) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** Takes the stream back; nothing is received any more. */
  reset(code: number = errorCodes.cancel): void {
    if (this.closed) return;
    this.#host.sendReset(this, code);
  }

  /** The peer may send no more than its window has room for, until `resume`. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#update();
  }

  /** For the connection: so much was received and handed over. */
  taken(bytes: number): void {
    this.#taken += bytes;
    this.#update();
  }

  /** For the connection: passes on `size` of the queued bytes, in pieces that point into them. */
  take(size: number, pass: (piece: Uint8Array) => void): void {
    this.#queued -= size;
    let missing = size;
    while (missing > 0) {
      const [first] = this.#queue;
      if (first === undefined) break;
      const piece = first.subarray(this.#sent, this.#sent + missing);
      pass(piece);
      missing -= piece.length;
      this.#sent += piece.length;
      if (this.#sent < first.length) break;
      this.#queue.shift();
      this.#sent = 0;
    }
    if (this.#queued < highWater) this.#release();
  }

  /** For the connection: what the peer has said is all, and is there. */
  endRemote(): void {
    this.receiver.ended();
    if (this.localEnded) this.#finish();
  }

  /** For the connection: our last frame is on its way. */
  endLocal(): void {
    this.localEnded = true;
    if (this.remoteEnded) this.#finish();
  }

  /** For the connection: it is over. */
  close(end: StreamEnd): void {
    if (this.closed) return;
    this.drop();
    this.receiver.closed(end);
  }

  /** As `close`, when the receiver knows. */
  drop(): void {
    this.closed = true;
    this.#queue = [];
    this.#queued = 0;
    this.#release();
  }

  #finish(): void {
    if (this.closed) return;
    this.#host.finished(this);
    this.close(done);
  }

  #push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#queued += bytes.length;
  }

  #update(): void {
    if (this.#paused || this.closed || this.remoteEnded || this.#taken < this.#updateAt) return;
    const increment = this.#taken;
    this.#taken = 0;
    this.receiveWindow += increment;
    this.#host.sendWindowUpdate(this, increment);
  }

  #release(): void {
    if (this.#drained.length === 0) return;
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }
}
