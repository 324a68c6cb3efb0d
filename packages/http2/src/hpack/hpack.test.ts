import { describe, expect, test } from "bun:test";
import { createServer as createHttp2Server, type IncomingHttpHeaders } from "node:http2";
import { createServer } from "node:net";
import fc from "fast-check";
import { errorCodes } from "../codes.ts";
import { ConnectionError } from "../errors.ts";
import type { FieldList } from "../fields.ts";
import { HeaderDecoder } from "./decoder.ts";
import { HeaderEncoder } from "./encoder.ts";
import { decodeHuffman } from "./huffman.ts";
import { BlockReader, writeInteger } from "./integer.ts";

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));

function encode(encoder: HeaderEncoder, fields: FieldList): Uint8Array {
  const out = new Uint8Array(HeaderEncoder.room(fields));
  return out.subarray(0, encoder.encode(fields, out, 0));
}

describe("the examples of RFC 7541, appendix C", () => {
  test("integers (C.1)", () => {
    const cases: [value: number, bits: number, hex: string][] = [
      [10, 5, "0a"],
      [1337, 5, "1f9a0a"],
      [42, 8, "2a"],
    ];
    for (const [value, bits, hex] of cases) {
      const out = new Uint8Array(6);
      expect(Buffer.from(out.subarray(0, writeInteger(out, 0, 0, bits, value))).toString("hex")).toBe(hex);
      const reader = new BlockReader(bytesOf(hex), 0, hex.length / 2);
      expect(reader.integer(reader.byte(), bits)).toBe(value);
    }
  });

  const date = (second: number): string => `Mon, 21 Oct 2013 20:13:2${second} GMT`;
  const cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
  const get = [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"];
  const requests: FieldList[] = [
    get,
    [...get, "cache-control", "no-cache"],
    [
      ...[":method", "GET", ":scheme", "https", ":path", "/index.html", ":authority", "www.example.com"],
      ...["custom-key", "custom-value"],
    ],
  ];
  const location = ["location", "https://www.example.com"];
  const responses: FieldList[] = [
    [":status", "302", "cache-control", "private", "date", date(1), ...location],
    [":status", "307", "cache-control", "private", "date", date(1), ...location],
    [
      ...[":status", "200", "cache-control", "private", "date", date(2), ...location],
      ...["content-encoding", "gzip", "set-cookie", cookie],
    ],
  ];
  const series: [name: string, table: number, FieldList[], blocks: string[], sizes: number[]][] = [
    [
      "requests (C.3)",
      4096,
      requests,
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
      [57, 110, 164],
    ],
    [
      "requests in Huffman's code (C.4)",
      4096,
      requests,
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
      [57, 110, 164],
    ],
    [
      "responses, with evictions (C.5)",
      256,
      responses,
      [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
      ],
      [222, 222, 215],
    ],
    [
      "responses in Huffman's code (C.6)",
      256,
      responses,
      [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
      ],
      [222, 222, 215],
    ],
  ];
  for (const [name, table, lists, blocks, sizes] of series) {
    test(name, () => {
      const decoder = new HeaderDecoder(65_536, table);
      for (const [index, block] of blocks.entries()) {
        expect(decoder.decode(bytesOf(block))).toEqual({ fields: lists[index] ?? [], valid: true, tooLarge: false });
        expect(decoder.tableSize).toBe(sizes[index] ?? 0);
      }
    });
  }

  test("what the encoder makes of the requests is C.3", () => {
    const encoder = new HeaderEncoder();
    const made = requests.map((fields) => Buffer.from(encode(encoder, fields)).toString("hex"));
    expect(made).toEqual(series[0]?.[3].map((hex) => hex.replaceAll(" ", "")) ?? []);
  });
});

const name = fc.stringMatching(/^[0-9a-z_.-]{1,20}$/);
const value = fc.stringMatching(/^[!-~]{0,60}$/);
// Few of each, so that they come again.
const fieldPool = fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 40 });

describe("header blocks", () => {
  test("come out as they went in, whatever the table is made to be", () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ picks: fc.array(fc.nat(39), { maxLength: 30 }) }) },
      { weight: 1, arbitrary: fc.record({ table: fc.nat(5000) }) },
    );
    fc.assert(
      fc.property(fieldPool, fc.array(step, { maxLength: 40 }), (pool, steps) => {
        const encoder = new HeaderEncoder();
        const decoder = new HeaderDecoder(1 << 20);
        for (const step of steps) {
          if ("table" in step) {
            encoder.limitTable(step.table);
            continue;
          }
          const fields = step.picks.flatMap((pick) => pool[pick % pool.length] ?? []);
          expect(decoder.decode(encode(encoder, fields)).fields).toEqual(fields);
        }
        expect(decoder.tableSize).toBeLessThanOrEqual(4096);
      }),
    );
  });

  test("that repeat take a byte for each field", () => {
    const encoder = new HeaderEncoder();
    const fields = [":status", "200", "content-type", "application/grpc", "containerd-namespace", "default"];
    encode(encoder, fields);
    expect(encode(encoder, fields)).toHaveLength(3);
    expect(encode(encoder, ["grpc-message", "x"])).toEqual(encode(encoder, ["grpc-message", "x"]));
    expect(encode(encoder, ["authorization", "secret"])[0]).toBe(0x1f);
  });

  test("of noise are an error of compression, or fields; never anything else", () => {
    const noise = fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 });
    fc.assert(
      fc.property(noise, (blocks) => {
        const decoder = new HeaderDecoder(1000);
        try {
          for (const block of blocks) {
            const { fields } = decoder.decode(block);
            expect(fields.reduce((sum, text) => sum + text.length + 16, 0)).toBeLessThanOrEqual(1000);
            expect(decoder.tableSize).toBeLessThanOrEqual(4096);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(ConnectionError);
          expect((error as ConnectionError).http2Code).toBe(errorCodes.compressionError);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("that break the rules are refused", () => {
    const decode = (hex: string, table?: number) => () => new HeaderDecoder(65_536, table).decode(bytesOf(hex));
    expect(decode("80")).toThrow("entry 0");
    expect(decode("be")).toThrow("entry 62");
    expect(decode("ffffffffff0f")).toThrow("too large");
    expect(decode("4005616263")).toThrow("amid a string");
    expect(decode("40")).toThrow("amid a field");
    expect(decode("8220")).toThrow("amid a header block");
    expect(decode("3fe21f")).toThrow("4097 bytes");
    expect(decode("3fe11f20 82", 4096)().fields).toEqual([":method", "GET"]);
    // The end of string itself, a padding of zeros, and one of a whole byte.
    expect(decode("0084ffffffff 00")).toThrow("end of string");
    expect(decode("008100 00")).toThrow("padded");
    expect(decode("00821fff 00")).toThrow("padded");
  });

  test("with names or values that no field has are told", () => {
    const block = (name: string, text: string): Uint8Array =>
      Uint8Array.of(0x40, name.length, ...Buffer.from(name), text.length, ...Buffer.from(text, "latin1"));
    const decoder = new HeaderDecoder(65_536);
    for (const [name, text] of [
      ["X", ""],
      ["a b", ""],
      ["", ""],
      [":", ""],
      ["a", "b\n"],
      ["a", "b\0"],
      ["a", " b"],
    ] as const) {
      expect(decoder.decode(block(name, text)).valid).toBe(false);
      // Also when the table has it.
      expect(decoder.decode(Uint8Array.of(0xbe)).valid).toBe(false);
    }
    expect(decoder.decode(block("a", "\x80 b")).valid).toBe(true);
  });

  test("that unfold to more than is allowed are cut off", () => {
    const long = "x".repeat(3000);
    const decoder = new HeaderDecoder(10_000);
    const block = Uint8Array.of(0x40, 1, 0x61, ...headOf(long), ...Buffer.from(long), ...new Array(60_000).fill(0xbe));
    const { fields, tooLarge } = decoder.decode(block);
    expect(tooLarge).toBe(true);
    expect(fields).toHaveLength(6);
  });
});

function headOf(text: string): Uint8Array {
  const out = new Uint8Array(6);
  return out.subarray(0, writeInteger(out, 0, 0, 7, text.length));
}

test("Huffman's code is what another implementation packs", async () => {
  // The client of node:http2 packs what gets shorter by it.
  const { packed, plain } = await packedByPeer();
  const { fields } = new HeaderDecoder(65_536).decode(packed);
  expect(fields).toContain(plain);
  expect(Buffer.from(packed).includes(plain)).toBe(false);
  const out = new Uint8Array(8);
  // 'a' to 'z' and the end's padding, from appendix B by hand: "etag" is 00101 01001 00011 100110 111.
  expect(decodeHuffman(bytesOf("2a 47 37"), 0, 3, out)).toBe(4);
  expect(Buffer.from(out.subarray(0, 4)).toString()).toBe("etag");
});

/** A header block that node:http2 makes, of a field that Huffman's code makes shorter. */
async function packedByPeer(): Promise<{ packed: Uint8Array; plain: string }> {
  const { connect } = await import("node:http2");
  const plain = "abcdefghijklmnopqrstuvwxyz0123456789%-./ABCDEFGHIJKLMNOPQRSTUVWXYZ_:=&*,;";
  const block = Promise.withResolvers<Uint8Array>();
  const server = createServer((socket) => {
    let all = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.write(Buffer.from("000000040000000000", "hex"));
    socket.on("data", (chunk) => {
      all = Buffer.concat([all, chunk]);
      for (let at = 24; at + 9 <= all.length; at += 9 + all.readUIntBE(at, 3)) {
        const end = at + 9 + all.readUIntBE(at, 3);
        const priority = ((all[at + 4] ?? 0) & 0x20) === 0 ? 0 : 5;
        if (all[at + 3] === 1 && end <= all.length) block.resolve(all.subarray(at + 9 + priority, end));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const session = connect(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
  session.on("error", () => {});
  session.request({ ":path": "/", text: plain }).on("error", () => {});
  const packed = await block.promise;
  session.destroy();
  server.close();
  return { packed, plain };
}

test("another implementation reads what the encoder makes", async () => {
  const seen: IncomingHttpHeaders[] = [];
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    seen.push(headers);
    stream.respond({ ":status": 200 }, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const { connect } = await import("node:net");
  const socket = connect(typeof address === "object" ? (address?.port ?? 0) : 0, "127.0.0.1");
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(Buffer.from("000000040000000000", "hex"));
  const encoder = new HeaderEncoder();
  for (let id = 1; id < 200; id += 2) {
    const fields = [":method", "GET", ":scheme", "http", ":path", `/${id % 7}`, ":authority", "x", `n${id % 31}`, "v"];
    const block = encode(encoder, fields);
    const head = Buffer.alloc(9);
    head.writeUIntBE(block.length, 0, 3);
    head[3] = 1;
    head[4] = 5;
    head.writeUInt32BE(id, 5);
    socket.write(Buffer.concat([head, block]));
  }
  while (seen.length < 100) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const [index, headers] of seen.entries()) {
    const id = 2 * index + 1;
    expect([headers[":path"], headers[`n${id % 31}`]]).toEqual([`/${id % 7}`, "v"]);
  }
  socket.destroy();
  server.close();
});
