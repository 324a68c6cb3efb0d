import { HullError } from "@hull/errors";
import type { Wire } from "../wire.ts";
import { closeCodes, type FrameHandler, FrameParser, frameOf, headerSize, opcodes, putHeader } from "./frame.ts";

/** Who takes a client's messages. */
export interface MessageHandler {
  /** A part of a message; `first` with its first byte. */
  part(piece: Uint8Array, first: boolean): void;
  /** The message is whole. */
  end(): void;
}

/** The server's side of a WebSocket: messages either way, pings answered, closed in good order. RFC 6455. */
export class WebSocketConnection implements FrameHandler {
  readonly #wire: Wire;
  readonly #parser = new FrameParser(this);
  readonly #handler: MessageHandler;
  #first = true;
  #closing = false;

  constructor(wire: Wire, handler: MessageHandler) {
    this.#wire = wire;
    this.#handler = handler;
  }

  /** Takes what comes from the client. */
  push(chunk: Uint8Array): void {
    try {
      this.#parser.push(chunk);
    } catch (thrown) {
      if (HullError.from(thrown).code !== "invalidArgument") throw thrown;
      this.close(closeCodes.protocolError);
    }
  }

  /** A message of what is at `buffer[from … to)`, which is lent; the bytes before it are written to. See `Output.send`. */
  send(opcode: number, buffer: Uint8Array, from: number, to: number): Promise<void> | undefined {
    const start = from - headerSize(to - from);
    putHeader(buffer, start, opcode, to - from);
    return this.#wire.lend(buffer, start, to);
  }

  /** A message that is the connection's. */
  write(opcode: number, bytes: Uint8Array): void {
    if (!this.#closing) this.#wire.write(frameOf(opcode, bytes));
  }

  /** Says that no more comes, and ends the connection when the client has said so too. */
  close(code: number = closeCodes.normal): void {
    if (this.#closing) return;
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.write(opcodes.close, payload);
    this.#closing = true;
    // After an error nothing can be told from what comes.
    this.#wire.finish(code === closeCodes.normal ? (chunk) => this.push(chunk) : undefined);
  }

  messageStart(): void {
    this.#first = true;
  }

  messagePart(piece: Uint8Array): void {
    if (!this.#closing) this.#handler.part(piece, this.#first);
    this.#first = false;
  }

  messageEnd(): void {
    if (!this.#closing) this.#handler.end();
  }

  control(opcode: number, payload: Uint8Array): void {
    if (opcode === opcodes.ping) this.write(opcodes.pong, payload);
    if (opcode !== opcodes.close) return;
    // The answer, with the same code; it is the server that closes the connection then (section 7.1.1).
    this.write(opcodes.close, payload.subarray(0, 2));
    this.#closing = true;
    this.#wire.close();
  }
}
