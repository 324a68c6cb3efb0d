import { parseHead } from "@hull/cri/streaming/http";
import { readSizes } from "@hull/cri/streaming/resize";
import { SpdyConnection } from "@hull/cri/streaming/spdy/connection";
import { controlFrame, frameTypes } from "@hull/cri/streaming/spdy/frame";
import { HeaderDecoder, HeaderEncoder } from "@hull/cri/streaming/spdy/headers";
import { FrameParser, frameOf } from "@hull/cri/streaming/websocket/frame";
import type { Target } from "./targets.ts";

/** In pieces, as it comes from sockets. Copies: what is read may be changed in place. */
function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

/** What a client sends that opens two streams, writes on one and pings. */
function spdySample(): Uint8Array {
  const encoder = new HeaderEncoder();
  const open = (id: number, type: string): Uint8Array => {
    const headers = encoder.encode(
      new Map([
        ["streamtype", type],
        ["port", "80"],
      ]),
    );
    return controlFrame(frameTypes.synStream, 0, [id, 0], Buffer.concat([Buffer.alloc(2), headers]));
  };
  const data = Buffer.concat([Buffer.from([0, 0, 0, 1, 1, 0, 0, 5]), Buffer.from("input")]);
  const others = [controlFrame(frameTypes.ping, 0, [5]), controlFrame(frameTypes.rstStream, 0, [3, 5])];
  return Buffer.concat([open(1, "data"), open(3, "error"), data, ...others]);
}

function serveSpdy(bytes: Uint8Array): void {
  const lost = new AbortController();
  const carrier = {
    ...{ lost: lost.signal, write() {}, lend: () => undefined },
    ...{ hold() {}, release() {}, finish() {}, destroy: () => lost.abort() },
  };
  const connection = new SpdyConnection(carrier, { wants: (headers) => headers.has("streamtype"), opened() {} });
  for (const piece of pieces(bytes, 9)) connection.push(piece);
  connection.close();
}

function masked(opcode: number, text: string): Uint8Array {
  const frame = frameOf(opcode, Buffer.from(text));
  frame[1] = (frame[1] ?? 0) | 0x80;
  // A mask of zeros changes nothing.
  return Buffer.concat([frame.subarray(0, 2), Buffer.alloc(4), frame.subarray(2)]);
}

/** What clients of the streaming server send. */
export const streamingTargets: readonly Target[] = [
  {
    name: "stream requests",
    samples: [
      Buffer.from(
        "POST /exec/abcdefgh?x=1 HTTP/1.1\r\nHost: node:1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io, channel.k8s.io",
      ),
    ],
    parse: (bytes) => parseHead(Buffer.from(bytes).toString("latin1")),
  },
  { name: "SPDY", samples: [spdySample()], parse: serveSpdy },
  {
    name: "SPDY headers",
    samples: [new HeaderEncoder().encode(new Map([["streamtype", "stdin"]]))],
    parse: (bytes) => new HeaderDecoder().decode(bytes),
  },
  {
    name: "WebSocket",
    samples: [Buffer.concat([masked(2, "\0input"), masked(9, "ping"), masked(1, "0aW5wdXQ="), masked(8, "\x03\xe8")])],
    parse(bytes) {
      const parser = new FrameParser({ messageStart() {}, messagePart() {}, messageEnd() {}, control() {} });
      for (const piece of pieces(bytes, 5)) parser.push(piece);
    },
  },
  {
    name: "terminal sizes",
    samples: [Buffer.from('{"Width":80,"Height":24}\n{"Width":81,"Height":25}')],
    async parse(bytes) {
      const input = (async function* () {
        yield* pieces(bytes, 7);
      })();
      for await (const size of readSizes(input)) if (size.width < 1) throw new RangeError("no width");
    },
  },
];
