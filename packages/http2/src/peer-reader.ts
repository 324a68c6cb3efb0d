import { expectConnection, expectLength, expectStream } from "./checks.ts";
import { errorCodes, frameFlags, frameTypes, largestWindow, preface } from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import { FrameReader, type FrameReceiver, uint32 } from "./frame-reader.ts";
import { HeaderBlocks, type StreamFields } from "./header-block.ts";

/** Who takes what a peer says. A StreamError that a method throws comes back by `streamError`, any other out of `push`. */
export interface PeerFrames {
  /** A piece of the content of a stream; `counted` bytes of the windows are used up. */
  content(streamId: number, content: Uint8Array, counted: number, endStream: boolean): void;
  fields(block: StreamFields): void;
  reset(streamId: number, code: number): void;
  /** Stream 0 is the connection. */
  windowUpdate(streamId: number, increment: number): void;
  /** A payload, see `applySettings`. */
  settings(bytes: Uint8Array, from: number, to: number): void;
  ping(payload: Uint8Array): void;
  goaway(lastStreamId: number): void;
  streamError(error: StreamError): void;
}

/** Bytes of the peer to what they say: frames, checked for what each must be by itself and in its order (RFC 9113, section 6). */
export class PeerReader implements FrameReceiver {
  readonly #peer: PeerFrames;
  readonly #reader: FrameReader;
  readonly #blocks: HeaderBlocks;
  /** Bytes of a client's preface that are still to come. */
  #prefaceMissing: number;
  #settingsSeen = false;

  /** @param limits bytes: of a frame, of the fields of a block */
  constructor(peer: PeerFrames, isServer: boolean, limits: { readonly frame: number; readonly fields: number }) {
    this.#peer = peer;
    this.#reader = new FrameReader(this, limits.frame);
    this.#blocks = new HeaderBlocks(limits.fields);
    this.#prefaceMissing = isServer ? preface.length : 0;
  }

  /** Takes the next bytes. @throws ConnectionError for what ends the connection */
  push(chunk: Uint8Array): void {
    const from = this.#prefaceMissing > 0 ? this.#takePreface(chunk) : 0;
    if (from < chunk.length) this.#reader.push(from === 0 ? chunk : chunk.subarray(from));
  }

  data(streamId: number, content: Uint8Array, counted: number, endStream: boolean): void {
    this.#inOrder(frameTypes.data, 0);
    try {
      this.#peer.content(streamId, content, counted, endStream);
    } catch (thrown) {
      this.#pass(thrown);
    }
  }

  frame(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    this.#inOrder(type, flags);
    try {
      this.#take(type, flags, streamId, bytes, from, to);
    } catch (thrown) {
      this.#pass(thrown);
    }
  }

  #takePreface(chunk: Uint8Array): number {
    let at = 0;
    for (; at < chunk.length && this.#prefaceMissing > 0; at++, this.#prefaceMissing--) {
      if (chunk[at] !== preface[preface.length - this.#prefaceMissing]) {
        throw new ConnectionError(errorCodes.protocolError, "the client doesn't speak HTTP/2");
      }
    }
    return at;
  }

  /** What may come at this point: SETTINGS first, nothing amid a header block (sections 3.4 and 4.3). */
  #inOrder(type: number, flags: number): void {
    if (!this.#settingsSeen) {
      if (type !== frameTypes.settings || (flags & frameFlags.ack) !== 0) {
        throw new ConnectionError(errorCodes.protocolError, "the first frame is not SETTINGS");
      }
      this.#settingsSeen = true;
    }
    if (this.#blocks.isOpen !== (type === frameTypes.continuation)) {
      throw new ConnectionError(errorCodes.protocolError, "CONTINUATION is out of its place");
    }
  }

  #pass(thrown: unknown): void {
    if (!(thrown instanceof StreamError)) throw thrown;
    this.#peer.streamError(thrown);
  }

  #take(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    switch (type) {
      case frameTypes.headers:
        expectStream(streamId, "HEADERS");
        this.#takeBlock(this.#blocks.headers(flags, streamId, bytes, from, to));
        break;
      case frameTypes.continuation:
        this.#takeBlock(this.#blocks.continuation(flags, streamId, bytes, from, to));
        break;
      case frameTypes.rstStream:
        expectLength(to - from, 4);
        this.#peer.reset(streamId, uint32(bytes, from));
        break;
      case frameTypes.windowUpdate:
        expectLength(to - from, 4);
        this.#peer.windowUpdate(streamId, uint32(bytes, from) & largestWindow);
        break;
      case frameTypes.settings:
        expectConnection(streamId, "SETTINGS");
        if ((flags & frameFlags.ack) === 0) this.#peer.settings(bytes, from, to);
        else expectLength(to - from, 0);
        break;
      case frameTypes.ping:
        expectConnection(streamId, "PING");
        expectLength(to - from, 8);
        if ((flags & frameFlags.ack) === 0) this.#peer.ping(bytes.subarray(from, to));
        break;
      case frameTypes.goaway:
        expectConnection(streamId, "GOAWAY");
        if (to - from < 8) throw new ConnectionError(errorCodes.frameSizeError, "GOAWAY is too short");
        this.#peer.goaway(uint32(bytes, from) & largestWindow);
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

  #takeBlock(block: StreamFields | undefined): void {
    if (block !== undefined) this.#peer.fields(block);
  }
}
