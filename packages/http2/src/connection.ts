import type { ByteLink } from "@hull/link";
import { checkFields, idle } from "./checks.ts";
import { defaultWindow, errorCodes, largestWindow, preface } from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import { type FieldList, faultOfRequest, faultOfResponse, faultOfTrailers } from "./fields.ts";
import type { StreamFields } from "./header-block.ts";
import { type PeerFrames, PeerReader } from "./peer-reader.ts";
import { Sender } from "./sender.ts";
import { applySettings, defaultSettings, type PeerSettings, settingIds } from "./settings.ts";
import { Stream, type StreamEnd, type StreamHost, type StreamReceiver } from "./stream.ts";
import { Streams } from "./streams.ts";

export interface ConnectionOptions {
  /** Bytes that the peer may send ahead on one stream. */
  streamWindow?: number;
  /** Bytes that the peer may send ahead on all streams together. */
  connectionWindow?: number;
  /** Bytes of fields that a header block may have (RFC 9113, section 6.5.2). */
  maxHeaderList?: number;
  /** Streams that the peer may have open. */
  maxStreams?: number;
}

/** Who owns a connection. */
export interface ConnectionOwner {
  /** A server's: a request has come; who takes the rest of it? */
  request?(stream: Stream, fields: FieldList): StreamReceiver;
  /** The peer is going away: what runs may finish, new requests need another connection. */
  goaway?(): void;
  /** It is over, after all streams are. Without a cause nothing was wrong. */
  closed(cause: unknown): void;
}

const mebibyte = 1024 * 1024;

/** Bytes that a frame may have. Content goes on piece by piece, so that a long frame costs no memory. */
const largestFrame = mebibyte;

/**
 * HTTP/2 over a link of bytes (RFC 9113), the part of it that gRPC needs: no push, no priorities, no upgrade from HTTP/1.
 *
 *   new ──► start ──► request(…) (client) or owner.request (server), any number at once ──► shutdown (runs out) or destroy ──► closed
 *
 * What the peer does wrong never throws here: it ends the stream or the connection, and the peer is told.
 */
export class Connection implements PeerFrames, StreamHost {
  readonly #link: ByteLink;
  readonly #owner: ConnectionOwner;
  readonly #isServer: boolean;
  readonly #streamWindow: number;
  readonly #connectionWindow: number;
  readonly #maxHeaderList: number;
  readonly #maxStreams: number;
  readonly #sender: Sender;
  readonly #reader: PeerReader;
  readonly #streams: Streams;
  #settings: PeerSettings = defaultSettings;
  /** Streams whose peer has said all in the bytes that are being taken. */
  #whole: Stream[] = [];
  #receiveWindow: number;
  #taken = 0;
  #leaving = false;
  #closed = false;

  constructor(role: "client" | "server", link: ByteLink, owner: ConnectionOwner, options: ConnectionOptions = {}) {
    this.#link = link;
    this.#owner = owner;
    this.#isServer = role === "server";
    this.#streamWindow = options.streamWindow ?? mebibyte;
    this.#connectionWindow = Math.max(options.connectionWindow ?? 16 * mebibyte, defaultWindow);
    this.#maxHeaderList = options.maxHeaderList ?? 65_536;
    this.#maxStreams = options.maxStreams ?? 65_536;
    this.#receiveWindow = this.#connectionWindow;
    this.#streams = new Streams(this.#isServer);
    this.#sender = new Sender(link, (stream) => this.#endLocal(stream));
    this.#reader = new PeerReader(this, this.#isServer, { frame: largestFrame, fields: this.#maxHeaderList });
  }

  /** Begins to speak and to listen. Called once. */
  start(): void {
    this.#greet();
    this.#link.start({ data: (chunk) => this.#receive(chunk), closed: (cause) => this.#end(cause) });
  }

  /** True while requests can be made. */
  get isOpen(): boolean {
    return !this.#closed && !this.#leaving && this.#streams.lastId < largestWindow - 2;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** A client's request. It is opened when the server has room for it. */
  request(fields: FieldList, receiver: StreamReceiver): Stream {
    const windows = { send: this.#settings.initialWindowSize, receive: this.#streamWindow };
    const stream = new Stream(this, 0, receiver, windows);
    if (!this.isOpen) {
      queueMicrotask(() => stream.close(refused));
      return stream;
    }
    if (this.#streams.open < this.#settings.maxConcurrentStreams) this.#open(stream, fields);
    else this.#streams.wait(stream, fields);
    return stream;
  }

  /** Takes no more requests; closes when those that are open have ended. */
  shutdown(): void {
    if (this.#closed || this.#leaving) return;
    this.#leaving = true;
    this.#sender.output.goaway(Math.max(0, this.#streams.lastId), errorCodes.noError, "");
    this.#sender.soon();
    this.#closeIfDone();
  }

  /** Ends every stream and the connection. */
  destroy(cause?: unknown): void {
    if (this.#closed) return;
    this.#link.destroy();
    this.#end(cause);
  }

  sendHeaders(stream: Stream, fields: FieldList, endStream: boolean): void {
    this.#sender.output.headers(stream.id, fields, endStream, this.#settings.maxFrameSize);
    if (endStream) {
      this.#sender.soon();
      this.#endLocal(stream);
    } else {
      // A message follows.
      this.#sender.later();
    }
  }

  sendNow(stream: Stream, parts: readonly Uint8Array[], endStream: boolean): boolean {
    if (!this.#sender.now(stream, parts, endStream)) return false;
    if (endStream) this.#endLocal(stream);
    return true;
  }

  sendQueued(stream: Stream): void {
    this.#sender.queue(stream);
  }

  sendReset(stream: Stream, code: number): void {
    stream.drop();
    if (this.#streams.leave(stream)) this.#closeIfDone();
    if (stream.id === 0 || this.#closed) return;
    this.#sender.output.rstStream(stream.id, code);
    this.#sender.soon();
    this.#streams.markReset(stream.id);
    this.#forget(stream);
  }

  sendWindowUpdate(stream: Stream, increment: number): void {
    this.#sender.output.windowUpdate(stream.id, increment);
    this.#sender.later();
  }

  finished(stream: Stream): void {
    this.#forget(stream);
  }

  content(streamId: number, content: Uint8Array, counted: number, endStream: boolean): void {
    this.#takeFromConnection(counted);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#unknown(streamId, "DATA");
      return;
    }
    if (stream.remoteEnded) throw new StreamError(streamId, errorCodes.streamClosed, "content after the end");
    if (!stream.opened) throw new StreamError(streamId, errorCodes.protocolError, "content before the headers");
    stream.receiveWindow -= counted;
    if (stream.receiveWindow < 0) throw new StreamError(streamId, errorCodes.flowControlError, "too much content");
    if (content.length > 0) stream.receiver.data(content);
    if (stream.closed) return;
    if (endStream) this.#endRemote(stream);
    else stream.taken(counted);
  }

  #greet(): void {
    const { output } = this.#sender;
    if (!this.#isServer) output.raw(preface);
    output.settings([
      ...(this.#isServer ? [settingIds.maxConcurrentStreams, this.#maxStreams] : [settingIds.enablePush, 0]),
      settingIds.initialWindowSize,
      this.#streamWindow,
      settingIds.maxFrameSize,
      largestFrame,
      settingIds.maxHeaderListSize,
      this.#maxHeaderList,
    ]);
    if (this.#connectionWindow > defaultWindow) output.windowUpdate(0, this.#connectionWindow - defaultWindow);
    this.#sender.later();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#closed) {
      // Whoever goes on after a GOAWAY is not waited for.
      this.#link.destroy();
      return;
    }
    try {
      this.#reader.push(chunk);
      this.#tellWhole();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #endRemote(stream: Stream): void {
    stream.remoteEnded = true;
    this.#whole.push(stream);
  }

  /** Only after all that came together: what is taken back right behind its end (as Bun's own client does) must not look whole. */
  #tellWhole(): void {
    if (this.#whole.length === 0) return;
    const whole = this.#whole;
    this.#whole = [];
    for (const stream of whole) if (!stream.closed) stream.endRemote();
  }

  ping(payload: Uint8Array): void {
    this.#sender.output.pingAck(payload);
    this.#sender.later();
  }

  fields(block: StreamFields): void {
    const { streamId, endStream } = block;
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#isServer && streamId % 2 === 1 && streamId > this.#streams.lastId) this.#takeRequest(block);
      else this.#unknown(streamId, "HEADERS");
      return;
    }
    if (stream.remoteEnded) throw new StreamError(streamId, errorCodes.streamClosed, "headers after the end");
    if (stream.opened) {
      if (!endStream) throw new StreamError(streamId, errorCodes.protocolError, "headers amid the content");
      checkFields(block, faultOfTrailers);
      stream.receiver.trailers?.(block.fields);
    } else {
      checkFields(block, faultOfResponse);
      const isInterim = block.fields[1]?.charCodeAt(0) === 0x31;
      if (isInterim && endStream) throw new StreamError(streamId, errorCodes.protocolError, "an interim answer is all");
      if (isInterim) return;
      stream.opened = true;
      stream.receiver.headers?.(block.fields);
    }
    if (endStream && !stream.closed) this.#endRemote(stream);
  }

  #takeRequest(block: StreamFields): void {
    const { streamId, endStream } = block;
    this.#streams.lastId = streamId;
    if (this.#leaving || this.#streams.open >= this.#maxStreams) {
      throw new StreamError(streamId, errorCodes.refusedStream, "no more requests are taken");
    }
    checkFields(block, faultOfRequest);
    const windows = { send: this.#settings.initialWindowSize, receive: this.#streamWindow };
    const stream = new Stream(this, streamId, noReceiver, windows);
    stream.opened = true;
    this.#streams.add(stream);
    const receiver = this.#owner.request?.(stream, block.fields);
    if (receiver !== undefined) stream.receiver = receiver;
    if (endStream && !stream.closed) this.#endRemote(stream);
  }

  reset(streamId: number, code: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#streams.isIdle(streamId)) throw idle(streamId, "RST_STREAM");
      return;
    }
    this.#forget(stream);
    // An answer that is whole stays so when the rest of the request isn't wanted (section 8.1).
    if (code === errorCodes.noError && stream.remoteEnded) stream.endRemote();
    stream.close(code === errorCodes.refusedStream ? refused : { kind: "reset", code });
  }

  windowUpdate(streamId: number, increment: number): void {
    if (streamId === 0) {
      if (increment === 0) throw new ConnectionError(errorCodes.protocolError, "a window grows by nothing");
      if (this.#sender.window + increment > largestWindow) {
        throw new ConnectionError(errorCodes.flowControlError, tooLarge);
      }
      this.#sender.widen(increment);
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#streams.isIdle(streamId)) throw idle(streamId, "WINDOW_UPDATE");
      return;
    }
    if (increment === 0) throw new StreamError(streamId, errorCodes.protocolError, "a window grows by nothing");
    stream.sendWindow += increment;
    if (stream.sendWindow > largestWindow) throw new StreamError(streamId, errorCodes.flowControlError, tooLarge);
    this.#sender.queue(stream);
  }

  settings(bytes: Uint8Array, from: number, to: number): void {
    const before = this.#settings;
    const settings = applySettings(before, bytes, from, to);
    this.#settings = settings;
    this.#sender.largestFrame = settings.maxFrameSize;
    this.#sender.output.limitTable(settings.headerTableSize);
    const change = settings.initialWindowSize - before.initialWindowSize;
    if (change !== 0) this.#changeWindows(change);
    this.#sender.output.settingsAck();
    this.#sender.later();
    this.#openWaiting();
  }

  #changeWindows(change: number): void {
    for (const [stream] of this.#streams.waiting()) stream.sendWindow += change;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > largestWindow) throw new ConnectionError(errorCodes.flowControlError, tooLarge);
      this.#sender.queue(stream);
    }
  }

  goaway(lastStreamId: number): void {
    this.#leaving = true;
    if (!this.#isServer) {
      for (const stream of [...this.#streams.values()]) {
        if (stream.id > lastStreamId && this.#streams.delete(stream)) stream.close(refused);
      }
      for (const [stream] of [...this.#streams.waiting()]) if (this.#streams.leave(stream)) stream.close(refused);
    }
    this.#owner.goaway?.();
    this.#closeIfDone();
  }

  #takeFromConnection(counted: number): void {
    this.#receiveWindow -= counted;
    if (this.#receiveWindow < 0)
      throw new ConnectionError(errorCodes.flowControlError, "more content than was allowed");
    // Whoever doesn't take its content holds up its own stream, not the others.
    this.#taken += counted;
    if (this.#taken < this.#connectionWindow >>> 1) return;
    this.#sender.output.windowUpdate(0, this.#taken);
    this.#sender.later();
    this.#receiveWindow += this.#taken;
    this.#taken = 0;
  }

  /** A frame of a stream that isn't open. */
  #unknown(streamId: number, frame: string): void {
    if (streamId === 0 || this.#streams.isIdle(streamId)) throw idle(streamId, frame);
    if (this.#streams.wasReset(streamId)) return;
    this.#streams.markReset(streamId);
    this.#sender.output.rstStream(streamId, errorCodes.streamClosed);
    this.#sender.later();
  }

  #open(stream: Stream, fields: FieldList): void {
    this.#streams.lastId += 2;
    stream.id = this.#streams.lastId;
    this.#streams.add(stream);
    this.#sender.output.headers(stream.id, fields, false, this.#settings.maxFrameSize);
    this.#sender.later();
    this.#sender.queue(stream);
  }

  #openWaiting(): void {
    for (const [stream, fields] of this.#streams.waiting()) {
      if (this.#streams.open >= this.#settings.maxConcurrentStreams) return;
      this.#streams.leave(stream);
      this.#open(stream, fields);
    }
  }

  #endLocal(stream: Stream): void {
    stream.endLocal();
    if (stream.closed || !this.#isServer) return;
    // A caller that is answered need not send the rest (section 8.1).
    this.sendReset(stream, errorCodes.noError);
    stream.receiver.closed(answered);
  }

  #forget(stream: Stream): void {
    if (!this.#streams.delete(stream)) return;
    this.#openWaiting();
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.#leaving || this.#closed || this.size > 0) return;
    // What the last streams sent is in the output still.
    this.#sender.close();
  }

  /** What the peer did wrong ends its stream. */
  streamError({ streamId, http2Code }: StreamError): void {
    const stream = this.#streams.get(streamId);
    this.#sender.output.rstStream(streamId, http2Code);
    this.#sender.later();
    this.#streams.markReset(streamId);
    if (stream === undefined) return;
    this.#forget(stream);
    stream.close({ kind: "reset", code: http2Code });
  }

  #fail(cause: unknown): void {
    if (this.#closed) return;
    const code = cause instanceof ConnectionError ? cause.http2Code : errorCodes.internalError;
    const reason = cause instanceof Error ? cause.message : String(cause);
    this.#sender.output.goaway(Math.max(0, this.#streams.lastId), code, reason);
    this.#sender.close();
    this.#end(cause);
  }

  #end(cause: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leaving = true;
    const end: StreamEnd = { kind: "lost", cause };
    for (const stream of this.#streams.clear()) stream.close(end);
    this.#owner.closed(cause);
  }
}

const answered: StreamEnd = { kind: "done" };
const refused: StreamEnd = { kind: "refused" };

const tooLarge = "a window grows too large";

/** Until the owner has said who it is. */
const noReceiver: StreamReceiver = { data: () => {}, ended: () => {}, closed: () => {} };
