/**
 * How fast one layer, and several side by side, are unpacked, and where the time goes.
 *
 *   bun bench/unpack.ts [megabytes=100] [files=2000] [layers=2]
 *
 * Each part is also measured alone: decompressing, hashing, reading the archive, making the files. Medians of three; figures
 * depend on the machine and on what else it does, so compare within one run.
 */

import { mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { contextFor } from "../packages/engine/src/context.ts";
import { UnpackerApplier } from "../packages/engine/src/diff/apply.ts";
import { decompress } from "../packages/engine/src/diff/compression/index.ts";
import { encodeHeader, endOfArchive, paddingAfter, TarParser } from "../packages/engine/src/diff/tar/index.ts";

const [megabytes = 100, files = 2000, layers = 2] = process.argv.slice(2).map(Number);
const rounds = 3;

using scratch = new DisposableStack();
const place = mkdtempSync(join(tmpdir(), "hull-bench-"));
scratch.defer(() => rmSync(place, { recursive: true, force: true }));

const archive = makeArchive();
const plainPath = join(place, "layer.tar");
const gzipPath = join(place, "layer.tar.gz");
writeFileSync(plainPath, archive);
writeFileSync(gzipPath, gzipSync(archive, { level: 6 }));
console.log(`layer: ${archive.length / 1e6} MB in ${files} files, ${readFileSync(gzipPath).length / 1e6} MB as gzip`);

const nothing = () => {};
await measure("decompress", () => decompress(reader(gzipPath), nothing));
await measure("sha256", () => {
  const hash = new Bun.CryptoHasher("sha256");
  return decompress(reader(plainPath), (bytes) => hash.update(bytes));
});
await measure("read the archive", () => {
  const parser = new TarParser({ entry: nothing, data: nothing, finish: nothing });
  return decompress(reader(plainPath), (bytes) => parser.push(bytes));
});
await measure("unpack, no compression", () => unpack(plainPath, 1));
await measure("unpack, gzip", () => unpack(gzipPath, 1));
await measure(`unpack ${layers} at a time, gzip`, () => unpack(gzipPath, layers), layers);
await measure("tar -xzf", async () => {
  const target = mkdtempSync(join(place, "tar-"));
  const child = Bun.spawn(["tar", "-C", target, "-xpf", gzipPath]);
  if ((await child.exited) !== 0) throw new Error("tar failed");
});

/** Text-like bytes of sizes that are spread as in images: many small files, a few large ones. */
function makeArchive(): Uint8Array {
  const words = Array.from({ length: 4096 }, (_, index) => `${(index * 2654435761).toString(36)} `);
  let state = 1;
  const next = () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648;
  };
  const weights = Array.from({ length: files }, () => 0.05 + next() ** 8 * 20);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const parts: Uint8Array[] = [];
  for (const [index, weight] of weights.entries()) {
    const content = Buffer.alloc(Math.floor((weight / total) * megabytes * 1e6));
    for (let at = 0; at < content.length; )
      at += content.write(words[Math.floor(next() ** 2 * words.length)] ?? "", at) || 1;
    const directory = `usr/share/directory-${index % 100}`;
    if (index < 100) parts.push(encodeHeader({ name: directory, type: "directory" }));
    const mtime = { seconds: 1_700_000_000 + index, nanoseconds: 0 };
    parts.push(encodeHeader({ name: `${directory}/file-${index}`, type: "file", size: content.length, mtime }));
    parts.push(content, paddingAfter(content.length));
  }
  return Buffer.concat([...parts, endOfArchive]);
}

function reader(path: string): (into: Uint8Array) => number {
  const fd = openSync(path, "r");
  return (into) => readSync(fd, into, 0, into.length, null);
}

async function unpack(path: string, count: number): Promise<void> {
  const applier = new UnpackerApplier({
    command: [process.execPath, join(import.meta.dirname, "../packages/engine/src/diff/unpacker/main.ts")],
    content: { path: async () => path },
  });
  const context = contextFor("bench");
  const descriptor = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: "sha256:bench", size: 0 };
  await Promise.all(
    Array.from({ length: count }, async () => {
      const target = mkdtempSync(join(place, "target-"));
      await applier.apply(context, descriptor, [{ type: "bind", source: target, target: "", options: ["bind"] }]);
    }),
  );
}

async function measure(name: string, work: () => Promise<void>, times = 1): Promise<void> {
  const results: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await work();
    results.push(performance.now() - start);
  }
  const median = results.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0;
  const rate = (archive.length * times) / 1000 / median;
  console.log(`${name.padEnd(26)} ${median.toFixed(0).padStart(6)} ms ${rate.toFixed(0).padStart(6)} MB/s`);
}
