/**
 * Moves bytes through the streaming server of a container runtime, as a client of it or as a server in a pod, and says what came.
 *
 *   bun test/support/mover/program.ts '{"role": "client", "url": …}'
 *
 * A program of its own, since it blocks. Prints lines of JSON: a server its port, both what they have taken in.
 */

import { Descriptor, read, setNonBlocking, write } from "@hull/sys/fd";
import { connectionResult, shutdownWriting, startConnection } from "@hull/sys/tcp";
import { ready } from "@hull/sys/watch";
import {
  channelFraming,
  type Framing,
  MessageReader,
  masked,
  PatternSource,
  rawFraming,
  SpdyReader,
  Sum,
  spdyFraming,
  spdyOpen,
  tunnelFraming,
} from "./frames.ts";
import type { ClientOptions, Moved, MoverOptions, ServerOptions } from "./index.ts";
import { exchange, type Incoming, type Outgoing } from "./loop.ts";
import { acceptOne } from "./sockets.ts";

const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

/** Bytes, once. */
const once = (bytes: Uint8Array): Outgoing => {
  let left: Uint8Array | undefined = bytes;
  return {
    next() {
      const now = left;
      left = undefined;
      return now;
    },
  };
};

/** Asks for another protocol. @returns what came behind the answer's head @throws Error with the answer if it isn't granted */
function upgrade(fd: number, url: URL, headers: readonly string[]): Uint8Array {
  const request = ["GET", url.pathname, "HTTP/1.1"].join(" ");
  const lines = [request, `Host: ${url.host}`, "Connection: Upgrade", ...headers, "", ""];
  let answer = Buffer.alloc(0);
  exchange(fd, once(Buffer.from(lines.join("\r\n"))), {
    take(bytes) {
      answer = Buffer.concat([answer, bytes]);
    },
    get complete() {
      return answer.includes("\r\n\r\n");
    },
  });
  if (!answer.toString("latin1").startsWith("HTTP/1.1 101 ")) throw new Error(`${url}: ${answer}`);
  return answer.subarray(answer.indexOf("\r\n\r\n") + 4);
}

/** The streams of a client, in the order in which they are opened: by their places the one that it writes on, reads, and is told errors on. */
interface Streams {
  readonly headers: readonly Readonly<Record<string, string>>[];
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly error: number;
}

function streamsOf({ kind, stdin, stdout, port }: ClientOptions): Streams {
  if (kind === "forward") {
    const headers = ["error", "data"].map((streamtype) => ({ streamtype, port: String(port), requestid: "0" }));
    return { headers, input: 1, output: 1, error: 0 };
  }
  const names = ["error", ...(stdin ? ["stdin"] : []), ...(stdout ? ["stdout"] : [])];
  const placeOf = (name: string): number | undefined => (names.includes(name) ? names.indexOf(name) : undefined);
  return {
    headers: names.map((streamtype) => ({ streamtype })),
    ...{ input: placeOf("stdin"), output: placeOf("stdout"), error: 0 },
  };
}

const idOf = (place: number | undefined): number => (place === undefined ? 0 : 2 * place + 1);

/** A conversation: what is sent once streams are there, and what comes. */
class Conversation implements Outgoing, Incoming {
  readonly sum = new Sum();
  error = "";
  complete = false;
  #opening: Uint8Array | undefined;
  #waiting: number;
  readonly #source: PatternSource | undefined;
  readonly #open: Set<number>;
  readonly #push: (bytes: Uint8Array) => void;

  constructor(options: ClientOptions) {
    const { protocol, kind, send } = options;
    const streams = streamsOf(options);
    const [input, output, error] = [idOf(streams.input), idOf(streams.output), idOf(streams.error)];
    const byChannel = protocol === "websocket" && kind !== "forward";
    this.#open = new Set([error, ...(output === 0 ? [] : [output])]);
    this.#waiting = byChannel ? 0 : streams.headers.length;
    const opening = spdyOpen(streams.headers);
    if (!byChannel) this.#opening = protocol === "spdy" ? opening : masked(opening);
    const framing = byChannel ? channelFraming(0) : protocol === "spdy" ? spdyFraming(input) : tunnelFraming(input);
    if (input !== 0) this.#source = this.#sourceOf(send, framing);
    const spdy = new SpdyReader({
      opened: () => {
        this.#waiting -= 1;
      },
      data: (stream, bytes) => {
        if (stream === output) this.sum.add(bytes);
        else this.error += Buffer.from(bytes);
      },
      end: (stream) => {
        this.#open.delete(stream);
        if (this.#open.size === 0) this.complete = true;
      },
    });
    this.#push = protocol === "spdy" ? (bytes) => spdy.push(bytes) : byChannel ? this.#channels() : tunnelled(spdy);
  }

  #sourceOf(send: number, framing: Framing): PatternSource {
    // Who only listens says that it has nothing more to say once it has heard all: the other side needn't talk to one who has left.
    const begun = (): boolean => this.#waiting === 0 && (send > 0 || this.complete);
    return new PatternSource(send, framing, begun);
  }

  #channels(): (bytes: Uint8Array) => void {
    let channel = 0;
    const reader = new MessageReader((bytes, first) => {
      if (first) channel = bytes[0] ?? 0;
      const rest = first ? bytes.subarray(1) : bytes;
      if (channel === 1) this.sum.add(rest);
      if (channel === 3) this.error += Buffer.from(rest);
    });
    return (bytes) => {
      reader.push(bytes);
      this.complete ||= reader.closed;
    };
  }

  next(): Uint8Array | "wait" | undefined {
    const opening = this.#opening;
    this.#opening = undefined;
    return opening ?? this.#source?.next();
  }

  take(bytes: Uint8Array): void {
    this.#push(bytes);
  }
}

const tunnelled = (spdy: SpdyReader): ((bytes: Uint8Array) => void) => {
  const reader = new MessageReader((bytes) => spdy.push(bytes));
  return (bytes) => reader.push(bytes);
};

const spdyHeaders = (protocol: string): string[] => ["Upgrade: SPDY/3.1", `X-Stream-Protocol-Version: ${protocol}`];
const webSocketHeaders = (protocol: string): string[] => [
  ...["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
  `Sec-WebSocket-Protocol: ${protocol}`,
];

async function runClient(options: ClientOptions): Promise<Moved> {
  const url = new URL(options.url);
  using socket = new Descriptor(startConnection("4", Number(url.port)));
  await ready(socket.fd, "write");
  connectionResult(socket.fd);
  const isForward = options.kind === "forward";
  const start = performance.now();
  const headers =
    options.protocol === "spdy"
      ? spdyHeaders(isForward ? "portforward.k8s.io" : "v4.channel.k8s.io")
      : webSocketHeaders(isForward ? "SPDY/3.1+portforward.k8s.io" : "v5.channel.k8s.io");
  const conversation = new Conversation(options);
  conversation.take(upgrade(socket.fd, url, headers));
  exchange(socket.fd, conversation, conversation);
  const { sum, error } = conversation;
  return { bytes: sum.bytes, checksum: sum.checksum, error, ms: performance.now() - start };
}

function runServer({ port, work, bytes }: ServerOptions): Moved {
  using socket = new Descriptor(acceptOne(port, () => say({ port })));
  const start = performance.now();
  const sum = new Sum();
  if (work === "echo") echo(socket.fd, sum);
  else {
    setNonBlocking(socket.fd, true);
    const source = new PatternSource(work === "source" ? bytes : 0, rawFraming);
    if (work === "source") source.finished = () => shutdownWriting(socket.fd);
    exchange(socket.fd, source, { complete: false, take: (piece) => sum.add(piece) });
  }
  return { bytes: sum.bytes, checksum: sum.checksum, error: "", ms: performance.now() - start };
}

/** The client reads whatever else it does: that this waits until it has taken what comes back can't stop it. */
function echo(fd: number, sum: Sum): void {
  const buffer = new Uint8Array(256 * 1024);
  for (let count = read(fd, buffer); count; count = read(fd, buffer)) {
    const piece = buffer.subarray(0, count);
    sum.add(piece);
    for (let at = 0; at < count; ) at += write(fd, piece.subarray(at)) ?? 0;
  }
}

const options = JSON.parse(process.argv[2] ?? "") as MoverOptions;
say(options.role === "client" ? await runClient(options) : runServer(options));
