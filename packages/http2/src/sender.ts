import type { ByteLink } from "@hull/link";
import { bufferSize, takeBuffer, takeBufferBack } from "./buffers.ts";
import { defaultWindow, frameFlags, frameHeadLength, frameTypes } from "./codes.ts";
import { Output } from "./output.ts";
import type { Stream } from "./stream.ts";

/** A message of so many bytes may go out with what else is gathered; a longer one is content, and waits its turn. */
const smallMessage = 16_384;

/** Bytes that are gathered before content has to wait its turn. */
const fullOutput = 65_536;

/** Bytes of one stream before the next has its turn. */
const turn = 65_536;

/** Bytes of answers to the peer's own frames that may wait while it doesn't read. */
const mostReplies = 262_144;

/**
 * What a connection sends: everything of one turn of the event loop in one write, content as the windows and the link have room, the
 * streams by turns.
 */
export class Sender {
  readonly output = new Output();
  /** Bytes of content that the peer lets us send on all streams together. */
  window = defaultWindow;
  /** Bytes of payload that the peer takes in a frame. */
  largestFrame = 16_384;
  readonly #link: ByteLink;
  readonly #ended: (stream: Stream) => void;
  /** Streams that have something to send and room in their windows. */
  readonly #ready: Stream[] = [];
  #soon = false;
  #later = false;
  /** The link holds what was written last. */
  #blocked = false;
  #paused = false;
  #closing = false;

  /** @param ended hears of streams whose last frame is written */
  constructor(link: ByteLink, ended: (stream: Stream) => void) {
    this.#link = link;
    this.#ended = ended;
  }

  /** What was put into the output leaves when what runs now has run. */
  soon(): void {
    if (this.#soon) return;
    this.#soon = true;
    queueMicrotask(this.#flush);
  }

  /** What was put into the output leaves in the next turn of the event loop, or with what leaves before. */
  later(): void {
    if (this.#blocked && this.output.length > mostReplies && !this.#paused) {
      this.#paused = true;
      this.#link.pause();
    }
    if (this.#soon || this.#later) return;
    this.#later = true;
    setImmediate(this.#flushLater);
  }

  /** The peer has room for so many bytes of content more, of all streams together. */
  widen(increment: number): void {
    this.window += increment;
    // Without content that waits, the answers to the peer's frames stay with the answers to its calls: Go sends an update with each.
    if (this.#ready.length > 0) this.soon();
  }

  /** Puts a small message into the output. False if there is no room for it: then it is the stream's to queue. */
  now(stream: Stream, parts: readonly Uint8Array[], endStream: boolean): boolean {
    let size = 0;
    for (const part of parts) size += part.length;
    const room = Math.min(smallMessage, this.largestFrame, this.window, stream.sendWindow);
    if (size > room || this.#blocked || this.#ready.length > 0 || this.output.length > fullOutput) return false;
    this.output.head(size, frameTypes.data, endStream ? frameFlags.endStream : 0, stream.id);
    for (const part of parts) this.output.raw(part);
    this.window -= size;
    stream.sendWindow -= size;
    // What is not the last has time for what may follow it at once, the trailers.
    if (endStream) this.soon();
    else this.later();
    return true;
  }

  /** Lets a stream have its turn, if it has something to send and its window has room. */
  queue(stream: Stream): void {
    if (stream.ready || stream.closed || stream.id === 0) return;
    if (stream.queued === 0 ? !stream.ending || stream.localEnded : stream.sendWindow <= 0) return;
    stream.ready = true;
    this.#ready.push(stream);
    // Content has time for what may follow it at once, the trailers.
    this.later();
  }

  /** Sends what it can now, then closes the link. */
  close(): void {
    this.#closing = true;
    const { output } = this;
    if (output.length > 0) this.#link.write(output.view());
    output.leave();
    this.#link.close();
  }

  readonly #flush = (): void => {
    this.#soon = false;
    if (this.#blocked || this.#closing) return;
    if (this.#ready.length > 0) this.#pump();
    if (!this.#blocked) this.#write();
  };

  readonly #flushLater = (): void => {
    this.#later = false;
    this.#flush();
  };

  /** Content, through a large buffer, until windows, link or content are at an end. */
  #pump(): void {
    const { output } = this;
    while (!this.#blocked) {
      const [stream] = this.#ready;
      if (stream === undefined || (this.window <= 0 && stream.queued > 0)) break;
      this.#makeRoom();
      if (this.#blocked) break;
      this.#sendTurn(stream);
      this.#ready.shift();
      stream.ready = false;
      this.queue(stream);
    }
    if (!this.#blocked) {
      this.#write();
      if (!this.#blocked) takeBufferBack(output.leave());
    }
  }

  /** Room for a turn in a large buffer, unless the link is blocked. */
  #makeRoom(): void {
    const { output } = this;
    if (output.capacity >= bufferSize && output.room < turn) this.#write();
    if (output.capacity < bufferSize && output.length > bufferSize - turn) this.#write();
    if (!this.#blocked && output.capacity < bufferSize) takeBufferBack(output.use(takeBuffer()));
  }

  /** Frames of one stream, no more than a turn's. */
  #sendTurn(stream: Stream): void {
    const { output } = this;
    let left = turn;
    while (!stream.closed && stream.queued > 0) {
      const room = Math.min(left, output.room - frameHeadLength);
      const size = Math.min(stream.queued, this.largestFrame, this.window, stream.sendWindow, room);
      if (size <= 0) return;
      const last = size === stream.queued && stream.ending && stream.finalFields === undefined;
      output.head(size, frameTypes.data, last ? frameFlags.endStream : 0, stream.id);
      this.window -= size;
      stream.sendWindow -= size;
      left -= size;
      stream.take(size, this.#raw);
      if (last) this.#ended(stream);
    }
    if (stream.closed || stream.queued > 0 || !stream.ending || stream.localEnded) return;
    if (stream.finalFields !== undefined) output.headers(stream.id, stream.finalFields, true, this.largestFrame);
    else output.head(0, frameTypes.data, frameFlags.endStream, stream.id);
    this.#ended(stream);
  }

  readonly #raw = (piece: Uint8Array): void => this.output.raw(piece);

  #write(): void {
    const { output } = this;
    if (output.length === 0) return;
    if (this.#link.writeLent(output.view())) {
      output.clear();
      return;
    }
    this.#blocked = true;
    const held = output.leave();
    void this.#link.drained().then(() => {
      this.#blocked = false;
      takeBufferBack(held);
      if (this.#closing) return;
      if (this.#paused) {
        this.#paused = false;
        this.#link.resume();
      }
      this.#flush();
    });
  }
}
