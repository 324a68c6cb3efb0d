import { describe, expect, test } from "bun:test";
import { isCode } from "@hull/errors";
import fc from "fast-check";
import {
  encodeHeader,
  endOfArchive,
  paddingAfter,
  type TarEntry,
  TarParser,
  text,
  type WritableEntry,
} from "./index.ts";

interface Found {
  entry: TarEntry;
  bytes: Uint8Array;
}

/** Parses in chunks of the given size. */
function parse(archive: Uint8Array, chunkSize = archive.length || 1): Found[] {
  const found: Found[] = [];
  let bytes = new Uint8Array(0);
  const parser = new TarParser({
    entry(entry) {
      bytes = new Uint8Array(entry.size);
      found.push({ entry, bytes });
    },
    data: (data, offset) => bytes.set(data, offset),
    finish() {},
  });
  for (let at = 0; at < archive.length; at += chunkSize) parser.push(archive.subarray(at, at + chunkSize));
  parser.end();
  return found;
}

function archiveOf(entries: [WritableEntry, Uint8Array?][]): Uint8Array {
  return Buffer.concat([
    ...entries.flatMap(([entry, bytes = new Uint8Array(0)]) => [
      encodeHeader({ ...entry, size: bytes.length }),
      bytes,
      paddingAfter(bytes.length),
    ]),
    endOfArchive,
  ]);
}

const run = (argv: string[], cwd: string) => {
  const { success, stdout, stderr } = Bun.spawnSync(argv, { cwd });
  if (!success) throw new Error(`${argv.join(" ")}: ${stderr}`);
  return new Uint8Array(stdout);
};

const name = fc
  .uint8Array({ minLength: 1, maxLength: 300 })
  .filter((bytes) => !bytes.includes(0) && bytes.at(-1) !== 0x2f);
const time = fc.record({
  seconds: fc.integer({ min: -(2 ** 33), max: 2 ** 34 }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
});
const common = {
  name,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 0xfffffffe }),
  gid: fc.integer({ min: 0, max: 0xfffffffe }),
  mtime: time,
};
const xattrName = fc.stringMatching(/^user\.[a-z.]{1,20}$/);
const writable: fc.Arbitrary<[WritableEntry, Uint8Array?]> = fc.oneof(
  fc.tuple(
    fc.record({
      ...common,
      type: fc.constant("file" as const),
      xattrs: fc
        .array(fc.tuple(xattrName, fc.uint8Array({ maxLength: 40 })), { maxLength: 3 })
        .map((pairs) => new Map(pairs)),
    }),
    fc.uint8Array({ maxLength: 2000 }),
  ),
  fc.tuple(fc.record({ ...common, type: fc.constantFrom("hardlink" as const, "symlink" as const), linkName: name })),
  fc.tuple(fc.record({ ...common, type: fc.constantFrom("directory" as const, "fifo" as const) })),
  fc.tuple(
    fc.record({
      ...common,
      type: fc.constantFrom("character" as const, "block" as const),
      deviceMajor: fc.integer({ min: 0, max: 4095 }),
      deviceMinor: fc.integer({ min: 0, max: 0o7777777 }),
    }),
  ),
);

describe("TarParser", () => {
  test("reads what encodeHeader writes, in chunks of any size", () => {
    fc.assert(
      fc.property(fc.array(writable, { maxLength: 5 }), fc.integer({ min: 1, max: 3000 }), (entries, chunkSize) => {
        const found = parse(archiveOf(entries), chunkSize);
        expect(found.length).toBe(entries.length);
        for (const [index, [wanted, bytes]] of entries.entries()) {
          const { entry, bytes: read } = found[index] ?? { entry: undefined, bytes: undefined };
          expect({
            ...entry,
            xattrs: [...(entry?.xattrs ?? [])].map(([key, value]) => [key, [...value]]),
          }).toMatchObject({
            type: wanted.type,
            mode: wanted.mode,
            uid: wanted.uid,
            gid: wanted.gid,
            mtime: wanted.mtime,
            deviceMajor: wanted.deviceMajor ?? 0,
            deviceMinor: wanted.deviceMinor ?? 0,
            xattrs: [...(wanted.xattrs ?? [])]
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .map(([key, value]) => [key, [...value]]),
          });
          expect(Buffer.from(entry?.name ?? "")).toEqual(Buffer.from(wanted.name));
          expect(Buffer.from(entry?.linkName ?? "")).toEqual(Buffer.from(wanted.linkName ?? ""));
          expect(Buffer.from(read ?? "")).toEqual(Buffer.from(bytes ?? ""));
        }
      }),
      { numRuns: 200 },
    );
  });

  test("random and mutated bytes give entries or an error, never anything else", () => {
    const base = archiveOf([
      [{ name: "a/".repeat(120), type: "directory" }],
      [{ name: "f", type: "file", mtime: { seconds: 1, nanoseconds: 5 } }, new Uint8Array(700)],
      [{ name: "l", type: "symlink", linkName: "x".repeat(200) }],
    ]);
    const mutation = fc.tuple(fc.nat(base.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(mutation, { maxLength: 8 }), fc.boolean(), (mutations, fixed) => {
        const bytes = Uint8Array.from(base);
        for (const [at, value] of mutations) bytes[at] = value;
        if (fixed) repairChecksums(bytes);
        expectEntriesOrError(bytes);
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 3000 }), (bytes) => expectEntriesOrError(bytes)));
  });

  test("a cut archive is an error with its position, except between entries", () => {
    const archive = archiveOf([[{ name: "f", type: "file" }, new Uint8Array(1000)]]);
    for (const length of [1, 511, 513, 1200, 1511]) {
      expect(() => parse(archive.subarray(0, length))).toThrow(`damaged at byte ${length}`);
    }
    expect(parse(archive.subarray(0, 1536)).length).toBe(1);
    expect(parse(new Uint8Array(0))).toEqual([]);
    expect(() => parse(Buffer.concat([new Uint8Array(512), archive]))).toThrow("stands alone");
  });

  test("sizes beyond any sense are refused", () => {
    const header = encodeHeader({ name: "f", type: "file" });
    header.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 124);
    expect(() => parse(repairChecksums(header))).toThrow("negative");
    header.set([0x80, 0x7f, 0xff, 0xff, 0xff, 0xff], 124);
    expect(() => parse(repairChecksums(header))).toThrow("beyond any sense");
    header.set(Buffer.from("77777777777\0"), 124);
    header[156] = "x".charCodeAt(0);
    expect(() => parse(repairChecksums(header))).toThrow("too long");
  });

  test("an archive may stop right behind the last entry's bytes, but not in them", () => {
    const whole = encodeHeader({ name: Buffer.from("a"), type: "file", size: 5 });
    const bytes = Buffer.concat([whole, Buffer.from("hello")]);
    expect(parse(bytes)).toHaveLength(1);
    expect(() => parse(bytes.subarray(0, -1))).toThrow("cut off");
  });

  test("global records hold for all that follow, local ones for the next entry", () => {
    const pax = (flag: string, records: string) => {
      const header = encodeHeader({ name: "p", type: "file", size: records.length });
      header[156] = flag.charCodeAt(0);
      return Buffer.concat([repairChecksums(header), Buffer.from(records), paddingAfter(records.length)]);
    };
    const found = parse(
      Buffer.concat([
        pax("g", "9 uid=42\n"),
        pax("x", "8 gid=7\n"),
        encodeHeader({ name: "a", type: "file" }),
        encodeHeader({ name: "b", type: "file" }),
      ]),
    );
    expect(found.map(({ entry: { uid, gid } }) => [uid, gid])).toEqual([
      [42, 7],
      [42, 0],
    ]);
    expect(() => parse(pax("x", "9 uid=42\n"))).toThrow("cut off");
    for (const bad of ["9 uid=4\n", "uid=4\n", "5 uid\n", "9 uid=4x\n", "6 =ab\n", "9999999999 a=b\n"]) {
      expect(() => parse(Buffer.concat([pax("x", bad), encodeHeader({ name: "a", type: "file" })]))).toThrow("damaged");
    }
  });

  const makers: [name: string, make: (directory: string, names: string[]) => Uint8Array][] = [
    ["GNU tar, gnu", (cwd, names) => run(["tar", "--format=gnu", "-S", "-cf", "-", ...names], cwd)],
    ["GNU tar, pax", (cwd, names) => run(["tar", "--format=pax", "--xattrs", "-cf", "-", ...names], cwd)],
    ...["0.0", "0.1", "1.0"].map((version): (typeof makers)[number] => [
      `GNU tar, pax, sparse ${version}`,
      (cwd, names) => run(["tar", "--format=pax", `--sparse-version=${version}`, "-S", "-cf", "-", ...names], cwd),
    ]),
    [
      "GNU tar, v7",
      (cwd, names) =>
        run(["tar", "--format=v7", "-cf", "-", ...names.filter((n) => n.length < 99 && n !== "link")], cwd),
    ],
  ];
  for (const format of ["pax", "gnutar", "ustar"]) {
    if (Bun.which("bsdtar") !== null) {
      makers.push([
        `bsdtar, ${format}`,
        (cwd, names) => run(["bsdtar", `--format=${format}`, "-cf", "-", ...names], cwd),
      ]);
    }
  }
  if (Bun.which("python3") !== null) {
    const script =
      "import sys,tarfile\nt=tarfile.open(fileobj=sys.stdout.buffer,mode='w|')\n[t.add(n) for n in sys.argv[1:]]\nt.close()";
    makers.push(["python", (cwd, names) => run(["python3", "-c", script, ...names], cwd)]);
  }
  for (const [maker, make] of makers) {
    test(`reads what ${maker} makes`, async () => {
      await using directory = await temporaryDirectory();
      const { path } = directory;
      const long = `${"long".repeat(30)}`;
      await Bun.write(`${path}/small`, "small\n");
      await Bun.write(`${path}/${long}`, "long name\n");
      run(["truncate", "-s", "10M", `${path}/holes`], path);
      for (let index = 0; index < 40; index++) {
        run(["dd", "if=/dev/urandom", "of=holes", "bs=4096", "count=1", `seek=${index * 50}`, "conv=notrunc"], path);
      }
      run(["ln", "-s", long, "link"], path);
      run(["ln", "small", "hard"], path);
      run(["touch", "-d", "2001-02-03T04:05:06.789Z", "small"], path);
      const names = ["small", long, "holes", "link", "hard"].filter((n) => n.length < 100 || !maker.includes("ustar"));
      const found = parse(make(path, names), 7777);
      const byName = new Map(found.map((one) => [text(one.entry.name), one]));
      expect(byName.get("small")?.entry.mtime.seconds).toBe(981173106);
      expect(text(byName.get("small")?.bytes ?? new Uint8Array(0))).toBe("small\n");
      expect(byName.get("hard")?.entry.type).toBe("hardlink");
      expect(text(byName.get("hard")?.entry.linkName ?? new Uint8Array(0))).toBe("small");
      if (byName.has("link")) expect(text(byName.get("link")?.entry.linkName ?? new Uint8Array(0))).toBe(long);
      if (byName.has(long)) expect(text(byName.get(long)?.bytes ?? new Uint8Array(0))).toBe("long name\n");
      const holes = byName.get("holes");
      expect(holes?.entry.size).toBe(10 * 1024 * 1024);
      expect(Buffer.from(holes?.bytes ?? "").equals(Buffer.from(await Bun.file(`${path}/holes`).bytes()))).toBe(true);
    });
  }
});

function expectEntriesOrError(bytes: Uint8Array): void {
  const parser = new TarParser({ entry() {}, data() {}, finish() {} });
  try {
    parser.push(bytes);
    parser.end();
  } catch (error) {
    if (!isCode(error, "invalidArgument")) throw error;
  }
}

/** Makes the checksum of every block that looks like a header right again, so that a mutation gets past it. */
function repairChecksums(bytes: Uint8Array): Uint8Array {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512);
    if (String.fromCharCode(...block.subarray(257, 262)) !== "ustar") continue;
    block.set(Buffer.from("        "), 148);
    let sum = 0;
    for (const byte of block) sum += byte;
    block.set(Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  }
  return bytes;
}

async function temporaryDirectory(): Promise<AsyncDisposable & { path: string }> {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const path = await mkdtemp(`${tmpdir()}/hull-tar-`);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
