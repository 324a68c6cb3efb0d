/** A client of the streaming server for tests and measurements: SPDY/3.1 over HTTP/1.1's upgrade, written without the server's own code. */

import { connect as connectTls } from "node:tls";
import { constants, createDeflate, type Deflate } from "node:zlib";
import { type ByteLink, linkFactory } from "@hull/link";
import { overDuplex } from "@hull/link/node";
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

/** How to reach a server; by default as the URL says. */
export type Dial = (url: URL) => Promise<ByteLink>;

/** See the top of this file. */
export class SpdyClient {
  readonly #link: ByteLink;
  readonly #deflate: Deflate = createDeflate({ dictionary: Buffer.from(dictionary), flush: constants.Z_SYNC_FLUSH });
  readonly #streams = new Map<number, ClientStream>();
  readonly pings: number[] = [];
  #next = 1;
  #opening: Promise<unknown> = Promise.resolve();
  #pending: Buffer = Buffer.alloc(0);
  /** A data frame that hasn't come whole. */
  #data: { stream: ClientStream | undefined; fin: boolean; left: number } | undefined;
  readonly goAway = Promise.withResolvers<void>();
  readonly closed = Promise.withResolvers<void>();
  /** Answers with the protocol that was chosen. */
  readonly answer: string;

  private constructor({ link, head }: Upgraded) {
    this.#link = link;
    this.answer = head;
  }

  /** Asks for SPDY at a URL of the server's. @throws the answer's text if it isn't granted */
  static async connect(url: string, protocols: readonly string[], dial?: Dial): Promise<SpdyClient> {
    const request = [
      ...["Connection: Upgrade", "Upgrade: SPDY/3.1"],
      ...protocols.map((protocol) => `X-Stream-Protocol-Version: ${protocol}`),
    ];
    const upgraded = await upgrade(url, "POST", request, dial);
    if (!upgraded.head.startsWith("HTTP/1.1 101 ")) {
      upgraded.link.destroy();
      throw new Error(`${upgraded.head}\n${upgraded.rest}`);
    }
    const client = new SpdyClient(upgraded);
    upgraded.receive(
      (chunk) => client.#take(chunk),
      () => client.#gone(),
    );
    return client;
  }

  /** Speaks SPDY in the messages of a WebSocket, each part of a frame in one of its own, as Go's client does. */
  static async tunnel(url: string, subprotocol: string): Promise<SpdyClient> {
    const upgraded = await upgrade(url, "GET", [
      ...["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
      ...["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", `Sec-WebSocket-Protocol: ${subprotocol}`],
    ]);
    const { link } = upgraded;
    const write = (bytes: Uint8Array): boolean => {
      // Masked by zeros, which change nothing.
      const header = Buffer.alloc(14);
      header.writeUInt16BE(0x82ff, 0);
      header.writeBigUInt64BE(BigInt(bytes.length), 2);
      return link.write(Buffer.concat([header, bytes]));
    };
    const carried: ByteLink = {
      start: () => {},
      write,
      writeLent: write,
      drained: () => link.drained(),
      pause: () => link.pause(),
      resume: () => link.resume(),
      close: () => link.close(),
      destroy: () => link.destroy(),
    };
    const client = new SpdyClient({ ...upgraded, link: carried });
    let pending: Buffer = Buffer.alloc(0);
    const take = (chunk: Uint8Array): void => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2) {
        const short = pending.readUInt8(1);
        const start = short === 126 ? 4 : short === 127 ? 10 : 2;
        if (pending.length < start) return;
        const length = start === 4 ? pending.readUInt16BE(2) : start === 10 ? pending.readUIntBE(4, 6) : short;
        if (pending.length < start + length) return;
        if (pending.readUInt8(0) === 0x82) client.#take(pending.subarray(start, start + length));
        pending = pending.subarray(start + length);
      }
    };
    upgraded.receive(take, () => client.#gone());
    return client;
  }

  #gone(): void {
    this.closed.resolve();
    for (const stream of this.#streams.values()) stream.ended.resolve("reset");
  }

  get link(): ByteLink {
    return this.#link;
  }

  async write(...parts: Uint8Array[]): Promise<void> {
    let room = true;
    for (const part of parts) if (part.length > 0) room = this.#link.write(part);
    if (!room) await this.#link.drained();
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

  #take(chunk: Uint8Array): void {
    let rest: Buffer =
      this.#pending.length > 0
        ? Buffer.concat([this.#pending, chunk])
        : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    while (rest.length > 0) {
      if (this.#data !== undefined) {
        const part = rest.subarray(0, this.#data.left);
        rest = rest.subarray(part.length);
        this.#data.left -= part.length;
        this.#data.stream?.take(part);
      } else {
        const used = this.#header(rest);
        if (used === 0) break;
        rest = rest.subarray(used);
      }
      if (this.#data?.left === 0) {
        if (this.#data.fin) this.#data.stream?.ended.resolve("end");
        this.#data = undefined;
      }
    }
    this.#pending = rest;
  }

  #header(rest: Buffer): number {
    if (rest.length < 8) return 0;
    const [word, flags, length] = [rest.readUInt32BE(0), rest.readUInt8(4), rest.readUIntBE(5, 3)];
    if (word < 0x8000_0000) {
      this.#data = { stream: this.#streams.get(word), fin: (flags & 1) !== 0, left: length };
      return 8;
    }
    if (rest.length < 8 + length) return 0;
    this.#control(word & 0xffff, rest.subarray(8, 8 + length));
    return 8 + length;
  }

  #control(type: number, payload: Buffer): void {
    const stream = payload.length >= 4 ? this.#streams.get(payload.readUInt32BE(0)) : undefined;
    if (type === 2) stream?.replied.resolve();
    if (type === 3) {
      stream?.ended.resolve("reset");
      stream?.replied.reject(new Error("the stream was refused"));
    }
    if (type === 6) this.pings.push(payload.readUInt32BE(0));
    if (type === 7) {
      this.goAway.resolve();
      this.#link.close();
    }
  }

  close(): void {
    this.#link.destroy();
  }
}

/** A connection whose request has been answered. */
interface Upgraded {
  readonly link: ByteLink;
  readonly head: string;
  /** What came after the head. */
  readonly rest: Buffer;
  /** Who takes what comes from here on; it is given the rest first. */
  receive(take: (chunk: Uint8Array) => void, gone: () => void): void;
}

const dialUrl: Dial = async ({ hostname, port, protocol }) => {
  const target = { host: hostname, port: Number(port) };
  if (protocol === "https:") return overDuplex(connectTls({ ...target, rejectUnauthorized: false }));
  return await (await linkFactory()).connect(target);
};

/** Sends a request for another protocol, and gives the answer. */
export async function upgrade(
  url: string,
  method: string,
  headers: readonly string[],
  dial: Dial = dialUrl,
): Promise<Upgraded> {
  const parsed = new URL(url);
  const link = await dial(parsed);
  let receiver: { take: (chunk: Uint8Array) => void; gone: () => void } | undefined;
  let all: Buffer = Buffer.alloc(0);
  const answered = Promise.withResolvers<{ head: string; rest: Buffer }>();
  const look = (): void => {
    const end = all.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = all.toString("latin1", 0, end);
    const length = Number(/content-length: ([0-9]+)/i.exec(head)?.[1] ?? 0);
    if (all.length >= end + 4 + length) answered.resolve({ head, rest: all.subarray(end + 4) });
  };
  let closed = false;
  link.start({
    data: (chunk) => {
      if (receiver !== undefined) return receiver.take(chunk);
      all = Buffer.concat([all, chunk]);
      look();
    },
    closed: () => {
      closed = true;
      receiver?.gone();
      answered.reject(new Error(`the connection was closed after "${all}"`));
    },
  });
  link.write(
    Buffer.from(
      `${[`${method} ${parsed.pathname} HTTP/1.1`, `Host: ${parsed.host}`, ...headers].join("\r\n")}\r\n\r\n`,
    ),
  );
  const { head } = await answered.promise;
  const restOfAll = (): Buffer => all.subarray(all.indexOf("\r\n\r\n") + 4);
  return {
    ...{ link, head, rest: restOfAll() },
    receive: (take, gone) => {
      receiver = { take, gone };
      const rest = restOfAll();
      if (rest.length > 0) take(rest);
      if (closed) gone();
    },
  };
}
