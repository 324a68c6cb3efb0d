/** A client of the streaming server for tests and measurements: SPDY/3.1 over HTTP/1.1's upgrade, written without the server's own code. */

import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { constants, createDeflate, type Deflate } from "node:zlib";
import { dictionary } from "./spdy/dictionary.ts";

/** A stream that the client opened. */
export class ClientStream {
  readonly id: number;
  readonly #client: SpdyClient;
  readonly #chunks: Buffer[] = [];
  readonly ended = Promise.withResolvers<"end" | "reset">();
  readonly replied = Promise.withResolvers<void>();
  /** Bytes that have come. */
  received = 0;
  /** Takes what comes, which isn't kept then. */
  onData: ((bytes: Buffer) => void) | undefined;
  #waiting: (() => void) | undefined;

  constructor(client: SpdyClient, id: number) {
    this.#client = client;
    this.id = id;
    this.replied.promise.catch(() => {});
  }

  take(bytes: Buffer): void {
    this.received += bytes.length;
    if (this.onData) this.onData(bytes);
    else this.#chunks.push(Buffer.from(bytes));
    this.#waiting?.();
  }

  /** What has come so far. */
  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  /** Everything, when the server has ended the stream. */
  async all(): Promise<string> {
    await this.ended.promise;
    return this.text;
  }

  /** Resolves when what has come has this in it. */
  async until(part: string): Promise<void> {
    while (!this.text.includes(part)) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  /** Sends bytes as one frame; resolves when more may be sent. */
  async write(bytes: Uint8Array | string, fin = false): Promise<void> {
    const data = Buffer.from(bytes);
    const header = Buffer.alloc(8);
    header.writeUInt32BE(this.id, 0);
    header.writeUInt32BE(data.length + (fin ? 0x100_0000 : 0), 4);
    await this.#client.write(header, data);
  }

  async end(): Promise<void> {
    await this.write("", true);
  }
}

/** See the top of this file. */
export class SpdyClient {
  readonly #socket: Duplex;
  readonly #deflate: Deflate = createDeflate({ dictionary: Buffer.from(dictionary), flush: constants.Z_SYNC_FLUSH });
  readonly #streams = new Map<number, ClientStream>();
  readonly pings: number[] = [];
  #next = 1;
  #opening: Promise<unknown> = Promise.resolve();
  #pending: Buffer = Buffer.alloc(0);
  readonly goAway = Promise.withResolvers<void>();
  readonly closed = Promise.withResolvers<void>();
  /** Answers with the protocol that was chosen. */
  readonly answer: string;

  private constructor(socket: Duplex, answer: string, rest: Buffer) {
    this.#socket = socket;
    this.answer = answer;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.once("close", () => {
      this.closed.resolve();
      for (const stream of this.#streams.values()) stream.ended.resolve("reset");
    });
    if (rest.length > 0) this.#take(rest);
  }

  /** Asks for SPDY at a URL of the server's. @throws the answer's text if it isn't granted */
  static async connect(url: string, protocols: readonly string[]): Promise<SpdyClient> {
    const request = [
      ...["Connection: Upgrade", "Upgrade: SPDY/3.1"],
      ...protocols.map((protocol) => `X-Stream-Protocol-Version: ${protocol}`),
    ];
    const { socket, head, rest } = await upgrade(url, "POST", request);
    if (!head.startsWith("HTTP/1.1 101 ")) {
      socket.destroy();
      throw new Error(`${head}\n${rest}`);
    }
    return new SpdyClient(socket, head, rest);
  }

  /** Speaks SPDY in the messages of a WebSocket, each part of a frame in one of its own, as Go's client does. */
  static async tunnel(url: string, subprotocol: string): Promise<SpdyClient> {
    const { socket, head, rest } = await upgrade(url, "GET", [
      ...["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
      ...["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", `Sec-WebSocket-Protocol: ${subprotocol}`],
    ]);
    const duplex = new Duplex({
      read() {},
      write(chunk: Uint8Array, _, done) {
        // Masked by zeros, which change nothing.
        const header = Buffer.alloc(14);
        header.writeUInt16BE(0x82ff, 0);
        header.writeBigUInt64BE(BigInt(chunk.length), 2);
        socket.write(Buffer.concat([header, chunk]), () => done());
      },
      destroy(_, done) {
        socket.destroy();
        done(null);
      },
    });
    let pending: Buffer = Buffer.alloc(0);
    const take = (chunk: Buffer): void => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2) {
        const short = pending.readUInt8(1);
        const start = short === 126 ? 4 : short === 127 ? 10 : 2;
        if (pending.length < start) return;
        const length = start === 4 ? pending.readUInt16BE(2) : start === 10 ? pending.readUIntBE(4, 6) : short;
        if (pending.length < start + length) return;
        if (pending.readUInt8(0) === 0x82) duplex.push(pending.subarray(start, start + length));
        pending = pending.subarray(start + length);
      }
    };
    socket.on("data", take);
    socket.once("close", () => duplex.destroy());
    const client = new SpdyClient(duplex, head, Buffer.alloc(0));
    take(rest);
    return client;
  }

  get socket(): Duplex {
    return this.#socket;
  }

  async write(...parts: Uint8Array[]): Promise<void> {
    let room = true;
    for (const part of parts) if (part.length > 0) room = this.#socket.write(part);
    if (room) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.on("drain", done).on("close", done);
    });
  }

  /** Opens a stream, and waits until the server has taken it. Ids and compressed headers come in order, so one waits for the other. */
  open(headers: Readonly<Record<string, string>>): Promise<ClientStream> {
    const opened = this.#opening.then(() => this.#open(headers));
    this.#opening = opened.catch(() => {});
    return opened;
  }

  async #open(headers: Readonly<Record<string, string>>): Promise<ClientStream> {
    const stream = new ClientStream(this, this.#next);
    this.#next += 2;
    this.#streams.set(stream.id, stream);
    const count = Buffer.alloc(4);
    count.writeUInt32BE(Object.keys(headers).length);
    const sized = (text: string): Buffer => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(text));
      return Buffer.concat([length, Buffer.from(text)]);
    };
    const block = Buffer.concat([
      count,
      ...Object.entries(headers).flatMap(([key, value]) => [sized(key), sized(value)]),
    ]);
    const packed = await this.#compress(block);
    const ids = Buffer.alloc(10);
    ids.writeUInt32BE(stream.id);
    await this.control(1, Buffer.concat([ids, packed]));
    await stream.replied.promise;
    return stream;
  }

  #compress(block: Buffer): Promise<Buffer> {
    const parts: Buffer[] = [];
    const collect = (part: Buffer): void => void parts.push(part);
    this.#deflate.on("data", collect);
    return new Promise((resolve) => {
      this.#deflate.write(block);
      this.#deflate.flush(constants.Z_SYNC_FLUSH, () => {
        this.#deflate.off("data", collect);
        resolve(Buffer.concat(parts));
      });
    });
  }

  async control(type: number, payload: Uint8Array, flags = 0): Promise<void> {
    const header = Buffer.alloc(8);
    header.writeUInt16BE(0x8003, 0);
    header.writeUInt16BE(type, 2);
    header.writeUInt32BE(flags * 0x100_0000 + payload.length, 4);
    await this.write(header, payload);
  }

  #take(chunk: Buffer): void {
    let rest = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk;
    while (rest.length >= 8) {
      const length = rest.readUIntBE(5, 3);
      if (rest.length < 8 + length) break;
      this.#frame(rest.readUInt32BE(0), rest.readUInt8(4), rest.subarray(8, 8 + length));
      rest = rest.subarray(8 + length);
    }
    this.#pending = rest;
  }

  #frame(word: number, flags: number, payload: Buffer): void {
    if (word < 0x8000_0000) {
      const stream = this.#streams.get(word);
      if (payload.length > 0) stream?.take(payload);
      if (flags & 1) stream?.ended.resolve("end");
      return;
    }
    const type = word & 0xffff;
    const stream = payload.length >= 4 ? this.#streams.get(payload.readUInt32BE(0)) : undefined;
    if (type === 2) stream?.replied.resolve();
    if (type === 3) {
      stream?.ended.resolve("reset");
      stream?.replied.reject(new Error("the stream was refused"));
    }
    if (type === 6) this.pings.push(payload.readUInt32BE(0));
    if (type === 7) {
      this.goAway.resolve();
      this.#socket.end();
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Sends a request for another protocol, and gives the head of the answer and what came after it. */
export async function upgrade(
  url: string,
  method: string,
  headers: readonly string[],
): Promise<{ socket: Socket; head: string; rest: Buffer }> {
  const { hostname, port, host, pathname, protocol } = new URL(url);
  const socket =
    protocol === "https:"
      ? connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false })
      : connect({ host: hostname, port: Number(port) });
  socket.write(`${[`${method} ${pathname} HTTP/1.1`, `Host: ${host}`, ...headers].join("\r\n")}\r\n\r\n`);
  let all: Buffer = Buffer.alloc(0);
  return await new Promise((resolve, reject) => {
    const take = (chunk: Buffer): void => {
      all = Buffer.concat([all, chunk]);
      const end = all.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = all.toString("latin1", 0, end);
      const length = Number(/content-length: ([0-9]+)/i.exec(head)?.[1] ?? 0);
      if (all.length < end + 4 + length) return;
      socket.off("data", take);
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve({ socket, head, rest: all.subarray(end + 4) });
    };
    socket.on("data", take);
    socket.once("error", reject);
  });
}
