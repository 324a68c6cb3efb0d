/** Frames of WebSocket, RFC 6455 section 5.2. */

import { invalidArgument } from "@hull/errors";

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Status codes of a close frame. Section 7.4.1. */
export const closeCodes = { normal: 1000, protocolError: 1002 } as const;

const maximumControl = 125;
const masked = 0x80;
const final = 0x80;

/** Who takes what is read. */
export interface FrameHandler {
  /** A text or binary message begins. */
  messageStart(opcode: number): void;
  /** A part of the message, as much as has come; the receiver's. */
  messagePart(piece: Uint8Array): void;
  messageEnd(): void;
  /** A close, ping or pong. */
  control(opcode: number, payload: Uint8Array): void;
}

/** What is being read: a header in pieces, or a payload. */
interface Payload {
  readonly opcode: number;
  readonly final: boolean;
  readonly mask: Uint8Array;
  /** Bytes that have been read, which say where in the mask the next one is. */
  done: number;
  left: number;
  /** Of a control frame, which is collected. */
  readonly collected: Uint8Array[] | undefined;
}

/** Reads a client's frames from pieces of any size. Messages aren't collected: their parts are passed on as they come. */
export class FrameParser {
  readonly #handler: FrameHandler;
  #begun: Uint8Array = new Uint8Array(0);
  #payload: Payload | undefined;
  #inMessage = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Takes a chunk, which is changed in place. @throws InvalidArgument: the bytes break the protocol; nothing can be read after that */
  push(chunk: Uint8Array): void {
    let rest: Uint8Array = this.#begun.length > 0 ? Buffer.concat([this.#begun, chunk]) : chunk;
    while (rest.length > 0) {
      const used = this.#payload === undefined ? this.#header(rest) : this.#take(this.#payload, rest);
      if (used === 0) break;
      rest = rest.subarray(used);
    }
    // A part of a header at most.
    this.#begun = rest.slice();
  }

  #header(rest: Uint8Array): number {
    const [first = 0, second = 0] = rest;
    if (rest.length < 2) return 0;
    const opcode = first & 0x0f;
    const isFinal = (first & final) !== 0;
    if ((first & 0x70) !== 0) throw invalidArgument("a WebSocket frame has reserved bits set");
    if ((second & masked) === 0) throw invalidArgument("a WebSocket frame of a client is not masked");
    const short = second & 0x7f;
    const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
    const size = 2 + extra + 4;
    if (rest.length < size) return 0;
    const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
    const length = extra === 2 ? view.getUint16(2) : extra === 8 ? longLength(view) : short;
    this.#begin(opcode, isFinal, length, rest.slice(size - 4, size));
    return size;
  }

  #begin(opcode: number, isFinal: boolean, length: number, mask: Uint8Array): void {
    const control = opcode >= opcodes.close;
    if (control && (!isFinal || length > maximumControl))
      throw invalidArgument(`a WebSocket control frame has ${length} bytes, or comes in parts`);
    if (!control && (opcode === opcodes.continuation) !== this.#inMessage)
      throw invalidArgument("a WebSocket message begins within another, or goes on without a beginning");
    if (opcode > opcodes.pong || (opcode > opcodes.binary && !control))
      throw invalidArgument(`WebSocket opcode ${opcode} is not known`);
    if (opcode === opcodes.text || opcode === opcodes.binary) {
      this.#inMessage = true;
      this.#handler.messageStart(opcode);
    }
    this.#payload = { opcode, final: isFinal, mask, done: 0, left: length, collected: control ? [] : undefined };
    if (length === 0) this.#end(this.#payload);
  }

  #take(payload: Payload, rest: Uint8Array): number {
    const piece = rest.subarray(0, Math.min(payload.left, rest.length));
    unmask(piece, payload.mask, payload.done);
    payload.done = (payload.done + piece.length) % 4;
    payload.left -= piece.length;
    if (payload.collected === undefined) this.#handler.messagePart(piece);
    else payload.collected.push(piece.slice());
    if (payload.left === 0) this.#end(payload);
    return piece.length;
  }

  #end({ opcode, final: isFinal, collected }: Payload): void {
    this.#payload = undefined;
    if (collected !== undefined) {
      this.#handler.control(opcode, Buffer.concat(collected));
    } else if (isFinal) {
      this.#inMessage = false;
      this.#handler.messageEnd();
    }
  }
}

function longLength(view: DataView): number {
  const length = Number(view.getBigUint64(2));
  if (!Number.isSafeInteger(length)) throw invalidArgument("the length of a WebSocket frame has its highest bit set");
  return length;
}

/** Takes the mask from bytes that are at `offset` of their frame. Section 5.3. */
export function unmask(bytes: Uint8Array, mask: Uint8Array, offset: number): void {
  const at = (index: number): number => mask[(offset + index) % 4] ?? 0;
  let index = 0;
  // Words of four bytes take a quarter of the time, but have to be where words can be.
  const aligned = Math.min((4 - (bytes.byteOffset % 4)) % 4, bytes.length);
  for (; index < aligned; index++) bytes[index] = (bytes[index] ?? 0) ^ at(index);
  if (bytes.length - index >= 4) {
    const key = Uint8Array.of(at(index), at(index + 1), at(index + 2), at(index + 3));
    const [word = 0] = new Uint32Array(key.buffer);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + index, (bytes.length - index) >>> 2);
    for (let each = 0; each < words.length; each++) words[each] = (words[each] ?? 0) ^ word;
    index += 4 * words.length;
  }
  for (; index < bytes.length; index++) bytes[index] = (bytes[index] ?? 0) ^ at(index);
}

/** How many bytes the header of a server's frame takes. */
export const headerSize = (length: number): number => (length < 126 ? 2 : length < 0x1_0000 ? 4 : 10);

/** Writes the header of a whole message of a server at `at`, for `length` bytes after it. */
export function putHeader(buffer: Uint8Array, at: number, opcode: number, length: number): void {
  buffer[at] = final | opcode;
  const view = new DataView(buffer.buffer, buffer.byteOffset + at);
  if (length < 126) {
    buffer[at + 1] = length;
  } else if (length < 0x1_0000) {
    buffer[at + 1] = 126;
    view.setUint16(2, length);
  } else {
    buffer[at + 1] = 127;
    view.setBigUint64(2, BigInt(length));
  }
}

/** A whole message of a server. */
export function frameOf(opcode: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerSize(payload.length) + payload.length);
  putHeader(frame, 0, opcode, payload.length);
  frame.set(payload, frame.length - payload.length);
  return frame;
}
