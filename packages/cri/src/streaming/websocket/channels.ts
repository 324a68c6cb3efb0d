/**
 * Several streams on one WebSocket: the first byte of each message is the number of its channel. Kubernetes' `channel.k8s.io` and
 * `v4.channel.k8s.io`; with `base64.` the messages are text, the number a digit, the rest base64. From `v5.` on a message of the bytes 255
 * and a number ends that channel.
 */

import { Inbox } from "../inbox.ts";
import type { Output } from "../streams.ts";
import type { Wire } from "../wire.ts";
import { type MessageHandler, WebSocketConnection } from "./connection.ts";
import { closeCodes, frameOf, opcodes } from "./frame.ts";

/** How a subprotocol writes messages. */
export interface ChannelFormat {
  readonly base64: boolean;
  /** Channels can be ended one by one. */
  readonly ends: boolean;
}

const endSignal = 255;
const zero = 48;

/** The streams of a connection. */
export class Channels implements MessageHandler {
  readonly #socket: WebSocketConnection;
  readonly #wire: Wire;
  readonly #format: ChannelFormat;
  readonly #inputs = new Map<number, Inbox>();
  /** Where the message goes that is being read; undefined for nobody. */
  #to: Inbox | undefined;
  /** The message ends the channel that its next byte names. */
  #ending = false;
  /** Digits of base64 that make no whole bytes yet. */
  #digits = "";

  /** `inputs` are the numbers of the channels that the client may write on. */
  constructor(wire: Wire, format: ChannelFormat, inputs: readonly number[]) {
    this.#wire = wire;
    this.#format = format;
    this.#socket = new WebSocketConnection(wire, this);
    for (const channel of inputs) this.#inputs.set(channel, new Inbox(wire));
    const end = (): void => {
      for (const input of this.#inputs.values()) input.end();
    };
    wire.lost.addEventListener("abort", end, { once: true });
    wire.receive((chunk) => this.#socket.push(chunk));
  }

  /** What the client writes on a channel, which must be one of the inputs. */
  input(channel: number): Inbox | undefined {
    return this.#inputs.get(channel);
  }

  /** Sends to the client on a channel. Its end can't be told but by closing the connection. */
  output(channel: number): Output {
    return {
      send: (buffer, from, to) =>
        this.#format.base64
          ? this.#sendText(channel, buffer.subarray(from, to))
          : this.#send(channel, buffer, from, to),
      end: () => {},
    };
  }

  #send(channel: number, buffer: Uint8Array, from: number, to: number): Promise<void> | undefined {
    buffer[from - 1] = channel;
    return this.#socket.send(opcodes.binary, buffer, from - 1, to);
  }

  #sendText(channel: number, bytes: Uint8Array): Promise<void> | undefined {
    const text = Buffer.from(
      `${channel}${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")}`,
    );
    const frame = frameOf(opcodes.text, text);
    return this.#wire.lend(frame, 0, frame.length);
  }

  /** A message without contents, which shows that the channel is there. */
  announce(channel: number): void {
    const first = this.#format.base64 ? zero + channel : channel;
    this.#socket.write(this.#format.base64 ? opcodes.text : opcodes.binary, Uint8Array.of(first));
  }

  close(): void {
    this.#socket.close();
  }

  part(piece: Uint8Array, first: boolean): void {
    let rest = piece;
    if (first) {
      const [number = 0] = piece;
      rest = piece.subarray(1);
      this.#digits = "";
      this.#ending = this.#format.ends && number === endSignal;
      this.#to = this.#ending ? undefined : this.#inputs.get(this.#format.base64 ? number - zero : number);
    }
    if (rest.length === 0) return;
    if (this.#ending) this.#endChannel(rest);
    else if (this.#format.base64) this.#decode(rest);
    else this.#to?.push(rest);
  }

  #endChannel(rest: Uint8Array): void {
    const [channel = 0] = rest;
    const input = this.#inputs.get(channel);
    if (rest.length !== 1 || input === undefined) this.#socket.close(closeCodes.protocolError);
    input?.end();
  }

  #decode(rest: Uint8Array): void {
    if (this.#to === undefined) return;
    const digits = this.#digits + Buffer.from(rest.buffer, rest.byteOffset, rest.length).toString("latin1");
    const whole = digits.length - (digits.length % 4);
    this.#digits = digits.slice(whole);
    try {
      this.#to.push(Uint8Array.fromBase64(digits.slice(0, whole)));
    } catch {
      // What isn't base64 is passed over, to the end of its message.
      this.#to = undefined;
    }
  }

  end(): void {
    this.#to = undefined;
    this.#ending = false;
  }
}
