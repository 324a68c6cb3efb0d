/**
 * SPDY/3.1 as Kubernetes uses it: the client opens streams, both write on them. There is no flow control but TCP's (clients know of
 * none), so that a stream whose reader is slow holds the others of its connection back.
 */

import { canceled, HullError, invalidArgument } from "@hull/errors";
import { Inbox } from "../inbox.ts";
import type { DuplexStream, Output } from "../streams.ts";
import type { Carrier } from "../wire.ts";
import {
  controlFrame,
  type FrameHandler,
  FrameParser,
  finFlag,
  frameHeaderSize,
  frameTypes,
  putDataHeader,
  resetReasons,
} from "./frame.ts";
import { HeaderDecoder, HeaderEncoder, type Headers } from "./headers.ts";

/** What one frame may hold. Section 2.2.2. */
const maximumData = 0xff_ffff;
/** A client that opens more than this at once means no good. */
const maximumStreams = 4096;

/** A stream that the client opened. */
export class SpdyStream implements DuplexStream, Output {
  readonly id: number;
  readonly headers: Headers;
  readonly input: Inbox;
  readonly #wire: Carrier;
  readonly #remove: () => void;
  /** Nothing more may be sent. */
  #ended = false;
  #remoteEnded = false;

  constructor(id: number, headers: Headers, wire: Carrier, remove: () => void) {
    this.id = id;
    this.headers = headers;
    this.input = new Inbox(wire);
    this.#wire = wire;
    this.#remove = remove;
  }

  get output(): Output {
    return this;
  }

  send(buffer: Uint8Array, from: number, to: number): Promise<void> | undefined {
    if (this.#ended) throw canceled("the stream has been ended");
    if (to - from > maximumData) throw invalidArgument(`${to - from} bytes are too many for one frame`);
    const start = from - frameHeaderSize;
    putDataHeader(buffer, start, this.id, 0, to - from);
    return this.#wire.lend(buffer, start, to);
  }

  end(): void {
    if (this.#ended) return;
    const frame = new Uint8Array(frameHeaderSize);
    putDataHeader(frame, 0, this.id, finFlag, 0);
    this.#wire.write(frame);
    this.#endOutput();
  }

  /** Ends both directions at once. */
  reset(): void {
    if (!(this.#ended && this.#remoteEnded)) {
      this.#wire.write(controlFrame(frameTypes.rstStream, 0, [this.id, resetReasons.cancel]));
    }
    this.abandon();
  }

  /** The client sends no more. */
  remoteEnd(): void {
    this.input.end();
    this.#remoteEnded = true;
    if (this.#ended) this.#remove();
  }

  /** The stream is no more: what came is dropped unless it is being read. */
  abandon(): void {
    this.input.end();
    this.#remoteEnded = true;
    this.#endOutput();
  }

  #endOutput(): void {
    this.#ended = true;
    if (this.#remoteEnded) this.#remove();
  }
}

/** Who a connection's streams are for. */
export interface StreamOwner {
  /** Whether a stream with these headers is accepted. */
  wants(headers: Headers, id: number): boolean;
  opened(stream: SpdyStream): void;
}

/** The server's side of a connection. */
export class SpdyConnection implements FrameHandler {
  readonly #wire: Carrier;
  readonly #owner: StreamOwner;
  readonly #parser = new FrameParser(this);
  readonly #decoder = new HeaderDecoder();
  readonly #encoder = new HeaderEncoder();
  readonly #streams = new Map<number, SpdyStream>();
  /** The highest id of a stream of the client's. */
  #last = 0;
  #closed = false;

  constructor(wire: Carrier, owner: StreamOwner) {
    this.#wire = wire;
    this.#owner = owner;
    wire.lost.addEventListener("abort", () => this.#abandon(), { once: true });
  }

  /** Takes what comes from the client. */
  push(chunk: Uint8Array): void {
    if (this.#closed) return;
    try {
      this.#parser.push(chunk);
    } catch (thrown) {
      // Nothing can be told from what comes next.
      if (HullError.from(thrown).code !== "invalidArgument") throw thrown;
      this.#closed = true;
      this.#wire.destroy();
    }
  }

  /** Ends all streams, and the connection when the client has seen that. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of [...this.#streams.values()]) stream.reset();
    this.#wire.write(controlFrame(frameTypes.goAway, 0, [this.#last, 0]));
    this.#wire.finish();
  }

  #abandon(): void {
    this.#closed = true;
    for (const stream of [...this.#streams.values()]) stream.abandon();
  }

  control(type: number, flags: number, payload: Buffer): void {
    switch (type) {
      case frameTypes.synStream:
        this.#open(flags, payload);
        break;
      case frameTypes.rstStream:
        this.#streams.get(wordOf(payload))?.abandon();
        break;
      case frameTypes.ping:
        // Even ones answer pings of the server's, which makes none.
        if (wordOf(payload) % 2 === 1) this.#wire.write(controlFrame(type, 0, [wordOf(payload)]));
        break;
      case frameTypes.headers:
        // They say nothing here, but later ones are compressed in relation to them.
        this.#decoder.decode(payload.subarray(4));
        if (flags & finFlag) this.#streams.get(wordOf(payload))?.remoteEnd();
        break;
    }
    // GOAWAY: the client opens no more streams; those that are there go on. What isn't known is passed over (section 2.2.1): SETTINGS and
    // WINDOW_UPDATE, and what may come one day.
  }

  #open(flags: number, payload: Buffer): void {
    const id = wordOf(payload) & 0x7fff_ffff;
    const headers = this.#decoder.decode(payload.subarray(10));
    const reason = this.#problemOf(id, headers);
    this.#last = Math.max(this.#last, id);
    if (reason !== undefined) {
      this.#wire.write(controlFrame(frameTypes.rstStream, 0, [id, reason]));
      return;
    }
    const stream = new SpdyStream(id, headers, this.#wire, () => this.#streams.delete(id));
    this.#streams.set(id, stream);
    if (flags & finFlag) stream.remoteEnd();
    // Before anybody writes on it.
    this.#wire.write(controlFrame(frameTypes.synReply, 0, [id], this.#encoder.encode(new Map())));
    this.#owner.opened(stream);
  }

  /** Why a stream is refused, if it is. */
  #problemOf(id: number, headers: Headers): number | undefined {
    if (id <= this.#last) return resetReasons.protocolError;
    if (this.#streams.size >= maximumStreams) return resetReasons.refusedStream;
    return this.#owner.wants(headers, id) ? undefined : resetReasons.cancel;
  }

  data(id: number, piece: Uint8Array): void {
    this.#streams.get(id)?.input.push(piece);
  }

  dataEnd(id: number, flags: number): void {
    if (flags & finFlag) this.#streams.get(id)?.remoteEnd();
  }
}

function wordOf(payload: Buffer): number {
  if (payload.length < 4) throw invalidArgument("a SPDY control frame is cut off");
  return payload.readUInt32BE(0);
}
