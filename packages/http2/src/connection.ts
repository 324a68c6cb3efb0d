import type { ByteLink } from "@hull/link";
import { defaultWindow, errorCodes, frameFlags, frameTypes, largestWindow, preface } from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import { type FieldList, faultOfRequest, faultOfResponse, faultOfTrailers } from "./fields.ts";
import { FrameReader, type FrameReceiver, paddingOf, uint32 } from "./frame-reader.ts";
import { HeaderBlock } from "./header-block.ts";
import { type DecodedBlock, HeaderDecoder } from "./hpack/decoder.ts";
import { ResetStreams } from "./reset-streams.ts";
import { Sender } from "./sender.ts";
import { applySettings, defaultSettings, type PeerSettings, settingIds } from "./settings.ts";
import { Stream, type StreamEnd, type StreamHost, type StreamReceiver } from "./stream.ts";

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
export class Connection implements FrameReceiver, StreamHost {
  readonly #link: ByteLink;
  readonly #owner: ConnectionOwner;
  readonly #isServer: boolean;
  readonly #streamWindow: number;
  readonly #connectionWindow: number;
  readonly #maxHeaderList: number;
  readonly #maxStreams: number;
  readonly #sender: Sender;
  readonly #reader: FrameReader;
  readonly #decoder: HeaderDecoder;
  readonly #streams = new Map<number, Stream>();
  readonly #resets = new ResetStreams();
  /** A client's streams that the server has no room for. */
  readonly #waiting = new Map<Stream, { fields: FieldList }>();
  #settings: PeerSettings = defaultSettings;
  /** Bytes of a client's preface that have come. */
  #prefaceFill = 0;
  #settingsSeen = false;
  #block: HeaderBlock | undefined;
  /** Streams whose peer has said all in the bytes that are being taken. */
  #whole: Stream[] = [];
  #receiveWindow: number;
  #taken = 0;
  /** The last stream that was opened: by the client here, or there. */
  #lastId: number;
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
    this.#lastId = this.#isServer ? 0 : -1;
    this.#sender = new Sender(link, (stream) => this.#endLocal(stream));
    this.#reader = new FrameReader(this, largestFrame);
    this.#decoder = new HeaderDecoder(this.#maxHeaderList);
  }

  /** Begins to speak and to listen. Called once. */
  start(): void {
    this.#greet();
    this.#link.start({ data: (chunk) => this.#receive(chunk), closed: (cause) => this.#end(cause) });
  }

  /** True while requests can be made. */
  get isOpen(): boolean {
    return !this.#closed && !this.#leaving && this.#lastId < largestWindow - 2;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#streams.size + this.#waiting.size;
  }

  /** A client's request. It is opened when the server has room for it. */
  request(fields: FieldList, receiver: StreamReceiver): Stream {
    const windows = { send: this.#settings.initialWindowSize, receive: this.#streamWindow };
    const stream = new Stream(this, 0, receiver, windows);
    if (!this.isOpen) {
      queueMicrotask(() => stream.close({ kind: "refused" }));
      return stream;
    }
    if (this.#streams.size < this.#settings.maxConcurrentStreams) this.#open(stream, fields);
    else this.#waiting.set(stream, { fields });
    return stream;
  }

  /** Takes no more requests; closes when those that are open have ended. */
  shutdown(): void {
    if (this.#closed || this.#leaving) return;
    this.#leaving = true;
    this.#sender.output.goaway(Math.max(0, this.#lastId), errorCodes.noError, "");
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
    if (this.#waiting.delete(stream)) this.#closeIfDone();
    if (stream.id === 0 || this.#closed) return;
    this.#sender.output.rstStream(stream.id, code);
    this.#sender.soon();
    this.#resets.add(stream.id);
    this.#forget(stream);
  }

  sendWindowUpdate(stream: Stream, increment: number): void {
    this.#sender.output.windowUpdate(stream.id, increment);
    this.#sender.later();
  }

  finished(stream: Stream): void {
    this.#forget(stream);
  }

  data(streamId: number, content: Uint8Array, counted: number, endStream: boolean): void {
    this.#inOrder(frameTypes.data, 0);
    this.#takeFromConnection(counted);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#unknown(streamId, "DATA");
      return;
    }
    try {
      if (stream.remoteEnded) throw new StreamError(streamId, errorCodes.streamClosed, "content after the end");
      if (!stream.opened) throw new StreamError(streamId, errorCodes.protocolError, "content before the headers");
      stream.receiveWindow -= counted;
      if (stream.receiveWindow < 0) throw new StreamError(streamId, errorCodes.flowControlError, "too much content");
      if (content.length > 0) stream.receiver.data(content);
      if (stream.closed) return;
      if (endStream) this.#endRemote(stream);
      else stream.taken(counted);
    } catch (thrown) {
      this.#failStream(thrown);
    }
  }

  frame(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    this.#inOrder(type, flags);
    try {
      this.#take(type, flags, streamId, bytes, from, to);
    } catch (thrown) {
      this.#failStream(thrown);
    }
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
    if (this.#closed) return;
    try {
      const from = this.#isServer && this.#prefaceFill < preface.length ? this.#takePreface(chunk) : 0;
      if (from < chunk.length) this.#reader.push(from === 0 ? chunk : chunk.subarray(from));
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

  #takePreface(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length && this.#prefaceFill < preface.length) {
      if (chunk[at++] !== preface[this.#prefaceFill++]) {
        throw new ConnectionError(errorCodes.protocolError, "the client doesn't speak HTTP/2");
      }
    }
    return at;
  }

  /** What may come at this point: SETTINGS first, nothing amid a header block (sections 3.4 and 4.3). */
  #inOrder(type: number, flags: number): void {
    if (!this.#settingsSeen && (type !== frameTypes.settings || (flags & frameFlags.ack) !== 0)) {
      throw new ConnectionError(errorCodes.protocolError, "the first frame is not SETTINGS");
    }
    if ((this.#block !== undefined) !== (type === frameTypes.continuation)) {
      throw new ConnectionError(errorCodes.protocolError, "CONTINUATION is out of its place");
    }
  }

  #take(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    switch (type) {
      case frameTypes.headers:
        expectStream(streamId, "HEADERS");
        this.#takeHeaders(flags, streamId, bytes, from, to);
        break;
      case frameTypes.continuation:
        this.#takeContinuation(flags, streamId, bytes, from, to);
        break;
      case frameTypes.rstStream:
        expectLength(to - from, 4);
        this.#takeReset(streamId, uint32(bytes, from));
        break;
      case frameTypes.windowUpdate:
        expectLength(to - from, 4);
        this.#takeWindowUpdate(streamId, uint32(bytes, from) & largestWindow);
        break;
      case frameTypes.settings:
        expectConnection(streamId, "SETTINGS");
        this.#takeSettings(flags, bytes, from, to);
        break;
      case frameTypes.ping:
        expectConnection(streamId, "PING");
        expectLength(to - from, 8);
        this.#takePing(flags, bytes.subarray(from, to));
        break;
      case frameTypes.goaway:
        expectConnection(streamId, "GOAWAY");
        if (to - from < 8) throw new ConnectionError(errorCodes.frameSizeError, "GOAWAY is too short");
        this.#takeGoaway(uint32(bytes, from) & largestWindow);
        break;
      case frameTypes.pushPromise:
        throw new ConnectionError(errorCodes.protocolError, "PUSH_PROMISE was not allowed");
      case frameTypes.priority:
        expectStream(streamId, "PRIORITY");
        if (to - from !== 5) throw new StreamError(streamId, errorCodes.frameSizeError, "PRIORITY has not five bytes");
        break;
      default:
      // Others are to be passed over (section 4.1).
    }
  }

  #takePing(flags: number, payload: Uint8Array): void {
    if ((flags & frameFlags.ack) !== 0) return;
    this.#sender.output.pingAck(payload);
    this.#sender.later();
  }

  #takeHeaders(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    let begin = from;
    let end = to;
    if ((flags & frameFlags.padded) !== 0) {
      end -= paddingOf(bytes, from, to);
      begin++;
    }
    if ((flags & frameFlags.priority) !== 0) begin += 5;
    if (begin > end) throw new ConnectionError(errorCodes.frameSizeError, "HEADERS is too short");
    const endStream = (flags & frameFlags.endStream) !== 0;
    // A block that is decoded may be a little longer than its fields count, which then are too many.
    const limit = 2 * this.#maxHeaderList;
    if ((flags & frameFlags.endHeaders) !== 0 && end - begin <= limit) {
      this.#takeFields(streamId, this.#decoder.decode(bytes, begin, end), endStream);
    } else {
      this.#block = new HeaderBlock(streamId, endStream, limit);
      this.#block.add(bytes, begin, end);
    }
  }

  #takeContinuation(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    const block = this.#block;
    if (block === undefined || block.streamId !== streamId) {
      throw new ConnectionError(errorCodes.protocolError, "CONTINUATION is of another stream");
    }
    block.add(bytes, from, to);
    if ((flags & frameFlags.endHeaders) === 0) return;
    this.#block = undefined;
    this.#takeFields(streamId, this.#decoder.decode(block.whole()), block.endStream);
  }

  #takeFields(streamId: number, block: DecodedBlock, endStream: boolean): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#isServer && streamId % 2 === 1 && streamId > this.#lastId)
        this.#takeRequest(streamId, block, endStream);
      else this.#unknown(streamId, "HEADERS");
      return;
    }
    if (stream.remoteEnded) throw new StreamError(streamId, errorCodes.streamClosed, "headers after the end");
    if (stream.opened) {
      if (!endStream) throw new StreamError(streamId, errorCodes.protocolError, "headers amid the content");
      checkBlock(streamId, block, faultOfTrailers);
      stream.receiver.trailers?.(block.fields);
    } else {
      checkBlock(streamId, block, faultOfResponse);
      const isInterim = block.fields[1]?.charCodeAt(0) === 0x31;
      if (isInterim && endStream) throw new StreamError(streamId, errorCodes.protocolError, "an interim answer is all");
      if (isInterim) return;
      stream.opened = true;
      stream.receiver.headers?.(block.fields);
    }
    if (endStream && !stream.closed) this.#endRemote(stream);
  }

  #takeRequest(streamId: number, block: DecodedBlock, endStream: boolean): void {
    this.#lastId = streamId;
    if (this.#leaving || this.#streams.size >= this.#maxStreams) {
      throw new StreamError(streamId, errorCodes.refusedStream, "no more requests are taken");
    }
    checkBlock(streamId, block, faultOfRequest);
    const windows = { send: this.#settings.initialWindowSize, receive: this.#streamWindow };
    const stream = new Stream(this, streamId, noReceiver, windows);
    stream.opened = true;
    this.#streams.set(streamId, stream);
    const receiver = this.#owner.request?.(stream, block.fields);
    if (receiver !== undefined) stream.receiver = receiver;
    if (endStream && !stream.closed) this.#endRemote(stream);
  }

  #takeReset(streamId: number, code: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#isIdle(streamId)) throw idle(streamId, "RST_STREAM");
      return;
    }
    this.#forget(stream);
    // An answer that is whole stays so when the rest of the request isn't wanted (section 8.1).
    if (code === errorCodes.noError && stream.remoteEnded) stream.endRemote();
    stream.close(code === errorCodes.refusedStream ? { kind: "refused" } : { kind: "reset", code });
  }

  #takeWindowUpdate(streamId: number, increment: number): void {
    if (streamId === 0) {
      if (increment === 0) throw new ConnectionError(errorCodes.protocolError, "a window grows by nothing");
      this.#sender.window += increment;
      if (this.#sender.window > largestWindow) throw new ConnectionError(errorCodes.flowControlError, tooLarge);
      this.#sender.soon();
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#isIdle(streamId)) throw idle(streamId, "WINDOW_UPDATE");
      return;
    }
    if (increment === 0) throw new StreamError(streamId, errorCodes.protocolError, "a window grows by nothing");
    stream.sendWindow += increment;
    if (stream.sendWindow > largestWindow) throw new StreamError(streamId, errorCodes.flowControlError, tooLarge);
    this.#sender.queue(stream);
  }

  #takeSettings(flags: number, bytes: Uint8Array, from: number, to: number): void {
    if ((flags & frameFlags.ack) !== 0) {
      if (to > from)
        throw new ConnectionError(errorCodes.frameSizeError, "an acknowledgement of settings has settings");
      return;
    }
    const before = this.#settings;
    const settings = applySettings(before, bytes, from, to);
    this.#settings = settings;
    this.#settingsSeen = true;
    this.#sender.largestFrame = settings.maxFrameSize;
    this.#sender.output.limitTable(settings.headerTableSize);
    const change = settings.initialWindowSize - before.initialWindowSize;
    if (change !== 0) this.#changeWindows(change);
    this.#sender.output.settingsAck();
    this.#sender.later();
    this.#openWaiting();
  }

  #changeWindows(change: number): void {
    for (const stream of this.#waiting.keys()) stream.sendWindow += change;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > largestWindow) throw new ConnectionError(errorCodes.flowControlError, tooLarge);
      this.#sender.queue(stream);
    }
  }

  #takeGoaway(lastStreamId: number): void {
    this.#leaving = true;
    if (!this.#isServer) {
      for (const [id, stream] of [...this.#streams]) {
        if (id <= lastStreamId) continue;
        this.#streams.delete(id);
        stream.close({ kind: "refused" });
      }
      for (const stream of [...this.#waiting.keys()]) {
        this.#waiting.delete(stream);
        stream.close({ kind: "refused" });
      }
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
    if (streamId === 0 || this.#isIdle(streamId)) throw idle(streamId, frame);
    if (this.#resets.has(streamId)) return;
    this.#resets.add(streamId);
    this.#sender.output.rstStream(streamId, errorCodes.streamClosed);
    this.#sender.later();
  }

  /** True for a stream that nobody has opened; a server opens none. */
  #isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || streamId > this.#lastId;
  }

  #open(stream: Stream, fields: FieldList): void {
    this.#lastId += 2;
    stream.id = this.#lastId;
    this.#streams.set(stream.id, stream);
    this.#sender.output.headers(stream.id, fields, false, this.#settings.maxFrameSize);
    this.#sender.later();
    this.#sender.queue(stream);
  }

  #openWaiting(): void {
    for (const [stream, { fields }] of this.#waiting) {
      if (this.#streams.size >= this.#settings.maxConcurrentStreams) return;
      this.#waiting.delete(stream);
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
    if (!this.#streams.delete(stream.id)) return;
    if (this.#waiting.size > 0) this.#openWaiting();
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.#leaving || this.#closed || this.size > 0) return;
    // What the last streams sent is in the output still.
    this.#sender.close();
  }

  /** Ends the stream of a StreamError, and passes on anything else. */
  #failStream(thrown: unknown): void {
    if (!(thrown instanceof StreamError)) throw thrown;
    const { streamId, http2Code } = thrown;
    const stream = this.#streams.get(streamId);
    this.#sender.output.rstStream(streamId, http2Code);
    this.#sender.later();
    this.#resets.add(streamId);
    if (stream === undefined) return;
    this.#forget(stream);
    stream.close({ kind: "reset", code: http2Code });
  }

  #fail(cause: unknown): void {
    if (this.#closed) return;
    const code = cause instanceof ConnectionError ? cause.http2Code : errorCodes.internalError;
    const reason = cause instanceof Error ? cause.message : String(cause);
    this.#sender.output.goaway(Math.max(0, this.#lastId), code, reason);
    this.#sender.close();
    this.#end(cause);
  }

  #end(cause: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leaving = true;
    const end: StreamEnd = { kind: "lost", cause };
    const streams = [...this.#streams.values(), ...this.#waiting.keys()];
    this.#streams.clear();
    this.#waiting.clear();
    for (const stream of streams) stream.close(end);
    this.#owner.closed(cause);
  }
}

const answered: StreamEnd = { kind: "done" };

const tooLarge = "a window grows too large";

/** Until the owner has said who it is. */
const noReceiver: StreamReceiver = { data: () => {}, ended: () => {}, closed: () => {} };

function checkBlock(streamId: number, block: DecodedBlock, faultOf: (fields: FieldList) => string | undefined): void {
  if (block.tooLarge) throw new StreamError(streamId, errorCodes.enhanceYourCalm, "the header list is too large");
  const fault = block.valid ? faultOf(block.fields) : "a field has characters that it may not have";
  if (fault !== undefined) throw new StreamError(streamId, errorCodes.protocolError, fault);
}

function expectLength(length: number, expected: number): void {
  if (length === expected) return;
  throw new ConnectionError(errorCodes.frameSizeError, `a frame has ${length} bytes instead of ${expected}`);
}

function expectConnection(streamId: number, frame: string): void {
  if (streamId !== 0) throw new ConnectionError(errorCodes.protocolError, `${frame} is of stream ${streamId}`);
}

function expectStream(streamId: number, frame: string): void {
  if (streamId === 0) throw new ConnectionError(errorCodes.protocolError, `${frame} is of no stream`);
}

function idle(streamId: number, frame: string): ConnectionError {
  return new ConnectionError(errorCodes.protocolError, `${frame} of stream ${streamId}, which is not open`);
}
