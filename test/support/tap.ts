import { connect, createServer, type Server, type Socket } from "node:net";

/** One request that went through a tap. */
export interface TappedRequest {
  /** e.g. `GET /v2/a/blobs/sha256:…` */
  line: string;
  /** first byte asked for, 0 if the whole was */
  from: number;
}

/**
 * A relay before a registry, on loopback: it notes the requests, counts the bytes of the answers, and stops in the middle of one where
 * a test wants something to happen. Connections end when either side's does.
 */
export class Tap implements AsyncDisposable {
  readonly requests: TappedRequest[] = [];
  /** bytes of all answers, heads included */
  received = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #hold: { at: number; reached: () => void } | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param target `host:port` */
  static async open(target: string): Promise<Tap> {
    const [host = "", port = ""] = target.split(":");
    const server = createServer((socket) => tap.#relay(socket, connect(Number(port), host)));
    const tap = new Tap(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return tap;
  }

  /** `127.0.0.1:<port>` */
  get host(): string {
    const address = this.#server.address();
    return typeof address === "object" ? `127.0.0.1:${address?.port}` : "";
  }

  /** Passes on `bytes` more of the answers and then nothing until `release`; resolves when it has come to that. */
  holdAfter(bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hold = { at: this.received + bytes, reached: resolve };
    return promise;
  }

  release(): void {
    this.#hold = undefined;
    for (const socket of this.#sockets) socket.resume();
  }

  /** Requests for a blob, by what its path holds. */
  of(part: string): TappedRequest[] {
    return this.requests.filter(({ line }) => line.startsWith("GET") && line.includes(part));
  }

  #relay(client: Socket, server: Socket): void {
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    client.on("data", (bytes) => {
      this.#note(bytes.toString("latin1"));
      server.write(bytes);
    });
    server.on("data", (bytes) => {
      this.received += bytes.length;
      if (!client.write(bytes)) {
        server.pause();
        client.once("drain", () => {
          if (this.#hold === undefined || this.received < this.#hold.at) server.resume();
        });
      }
      if (this.#hold !== undefined && this.received >= this.#hold.at) {
        for (const socket of this.#sockets) if (socket !== client) socket.pause();
        this.#hold.reached();
      }
    });
  }

  /** A client's requests are small: each comes in one piece. */
  #note(text: string): void {
    const [, line] = /^([A-Z]+ \S+) HTTP\/1\.1\r\n/.exec(text) ?? [];
    if (line === undefined) return;
    const [, from = "0"] = /\r\nrange: *bytes=(\d+)-/i.exec(text) ?? [];
    this.requests.push({ line, from: Number(from) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
