import type { Carrier, Wire } from "../wire.ts";
import { WebSocketConnection } from "./connection.ts";
import { opcodes } from "./frame.ts";

/** Carries a connection's bytes in the messages of a WebSocket, wherever these begin and end: Kubernetes' `SPDY/3.1+…` subprotocols. */
export class Tunnel implements Carrier {
  readonly #wire: Wire;
  readonly #socket: WebSocketConnection;

  constructor(wire: Wire, receiver: (piece: Uint8Array) => void) {
    this.#wire = wire;
    this.#socket = new WebSocketConnection(wire, { part: receiver, end: () => {} });
    wire.receive((chunk) => this.#socket.push(chunk));
  }

  get lost(): AbortSignal {
    return this.#wire.lost;
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(opcodes.binary, bytes);
  }

  lend(buffer: Uint8Array, from: number, to: number): Promise<void> | undefined {
    return this.#socket.send(opcodes.binary, buffer, from, to);
  }

  hold(who: object): void {
    this.#wire.hold(who);
  }

  release(who: object): void {
    this.#wire.release(who);
  }

  finish(): void {
    this.#socket.close();
  }

  destroy(): void {
    this.#wire.destroy();
  }
}
