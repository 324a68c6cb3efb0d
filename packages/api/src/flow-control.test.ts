import { describe, expect, test } from "bun:test";
import { createServer as createHttp2Server } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import fc from "fast-check";
import { WindowRepair, withWindowRepair } from "./flow-control.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, stream: number, body: Buffer = Buffer.alloc(0), flags = 0): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

function update(stream: number, increment: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(increment);
  return frame(8, stream, body);
}

function settings(initial: number): Buffer {
  const body = Buffer.alloc(6);
  body.writeUInt16BE(4);
  body.writeUInt32BE(initial, 2);
  return frame(4, 0, body);
}

/** A request without a body (RFC 7541, section 6.2.2: literals without indexing). */
function request(stream: number): Buffer {
  const literal = (text: string) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
  const fields = { ":method": "GET", ":path": "/", ":scheme": "http", ":authority": "x" };
  const block = Object.entries(fields).flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]);
  return frame(1, stream, Buffer.concat(block), 5);
}

describe("what is put in", () => {
  test("an update of what a stream was given before the window grew", () => {
    const repair = new WindowRepair("server");
    const bytes = [
      preface,
      settings(100_000),
      request(1),
      update(1, 500),
      update(0, 70),
      settings(300_000),
      update(1, 9),
    ];
    expect(Buffer.concat([...repair.pass(Buffer.concat(bytes))])).toEqual(
      Buffer.concat([...bytes.slice(0, 6), update(1, 500), ...bytes.slice(6)]),
    );
  });

  test("nothing for streams that got nothing, were reset, or whose window shrinks; nor for an acknowledgement", () => {
    const repair = new WindowRepair("client");
    const bytes = Buffer.concat([
      request(1),
      update(3, 5),
      frame(3, 3, Buffer.alloc(4)),
      settings(1 << 20),
      frame(4, 0, undefined, 1),
    ]);
    expect(Buffer.concat([...repair.pass(bytes)])).toEqual(bytes);
    const shrinking = Buffer.concat([update(5, 7), settings(65_535)]);
    expect(Buffer.concat([...repair.pass(shrinking)])).toEqual(shrinking);
  });

  test("the same however the bytes are cut, and every byte arrives whatever they are", () => {
    const bytes = Buffer.concat([
      preface,
      update(1, 500),
      request(3),
      update(3, 8),
      settings(1 << 20),
      frame(0, 1, Buffer.alloc(700)),
    ]);
    const whole = Buffer.concat([...new WindowRepair("server").pass(bytes)]);
    const inPieces = (source: Buffer, cuts: readonly number[]): Buffer => {
      const repair = new WindowRepair("server");
      const edges = [...new Set([0, ...cuts.map((cut) => cut % (source.length + 1)), source.length])].sort(
        (a, b) => a - b,
      );
      const pieces = edges.slice(1).map((end, index) => source.subarray(edges[index], end));
      return Buffer.concat(pieces.flatMap((piece) => [...repair.pass(piece)]));
    };
    fc.assert(fc.property(fc.array(fc.nat(5000)), (cuts) => inPieces(bytes, cuts).equals(whole)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300)), (noise, cuts) => {
        const repaired = inPieces(Buffer.from(noise), cuts);
        return repaired.length >= noise.length;
      }),
    );
  });
});

// Exact in both directions: less would stand still, more would break the client's rules. It also tells when a newer Bun needs no mending.
test("a server sends exactly what a client's window has room for", async () => {
  const server = createHttp2Server();
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200 });
    stream.end(Buffer.alloc(5 << 20));
  });
  const front = createServer((socket) => server.emit("connection", withWindowRepair(socket, "server")));
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  const address = front.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const client = connect(address.port, "127.0.0.1");
  try {
    const received = dataCounter(client);
    client.write(Buffer.concat([preface, frame(4, 0), update(0, 100 << 20), request(1)]));
    await received.reaches(1, 65_535);
    client.write(Buffer.concat([update(1, 1000), settings(1 << 20)]));
    await received.reaches(1, (1 << 20) + 1000);
    client.write(Buffer.concat([request(3), update(3, 70), update(1, 30), settings(2 << 20)]));
    await received.reaches(1, (2 << 20) + 1030);
    await received.reaches(3, (2 << 20) + 70);
    client.write(update(1, 4 << 20));
    await received.reaches(1, 5 << 20);
    // What has ended is given an update too, which does no harm.
    client.write(Buffer.concat([settings(3 << 20), request(5)]));
    await received.reaches(5, 3 << 20);
  } finally {
    client.destroy();
    front.close();
    server.close();
  }
});

/** Bytes of DATA frames by stream. `reaches` fails if more come within a moment. */
function dataCounter(socket: Socket) {
  const counts = new Map<number, number>();
  let pending: Buffer = Buffer.alloc(0);
  let notify = () => {};
  socket.on("data", (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 9 && pending.length >= 9 + pending.readUIntBE(0, 3)) {
      const length = pending.readUIntBE(0, 3);
      const stream = pending.readUInt32BE(5);
      if (pending[3] === 0) counts.set(stream, (counts.get(stream) ?? 0) + length);
      pending = pending.subarray(9 + length);
    }
    notify();
  });
  return {
    async reaches(stream: number, bytes: number): Promise<void> {
      while ((counts.get(stream) ?? 0) < bytes)
        await new Promise<void>((resolve) => {
          notify = resolve;
        });
      await Bun.sleep(30);
      expect(counts.get(stream)).toBe(bytes);
    },
  };
}
