/**
 * The packer: a process of its own that writes the difference of two trees, as a layer, to standard output.
 *
 * It shuts itself into the directory that has both before it looks at the first file, and may only read: a container that still runs can
 * change what is read under its hands, but lead it nowhere. It uses a fixed amount of memory, and ends with the process that started it.
 */

import { writeSync } from "node:fs";
import { Readable } from "node:stream";
import { createGzip, createZstdCompress } from "node:zlib";
import { HullError } from "@hull/errors";
import { setParentDeathSignal } from "@hull/sys/process";
import type { Outcome } from "../outcome.ts";
import { confine, readingFiles } from "../unpacker/confine.ts";
import { toHullError } from "../unpacker/failures.ts";
import { ChangeWalk } from "./changes.ts";
import { Layer } from "./layer.ts";
import { fromPackArguments, type PackCompression, type PackRequest } from "./protocol.ts";

const SIGKILL = 9;
/** Small pieces, which headers are, are handed on together. */
const gathered = 1 << 18;

/** Does what the command line says, and tells on standard error how it went. */
export async function runPacker(argv: readonly string[]): Promise<void> {
  let outcome: Outcome;
  try {
    setParentDeathSignal(SIGKILL);
    outcome = await pack(fromPackArguments(argv));
  } catch (thrown) {
    const { code, message } = thrown instanceof HullError ? thrown : toHullError(thrown);
    outcome = { error: { code, message } };
  }
  writeAllTo(2, Buffer.from(`${JSON.stringify(outcome)}\n`));
}

async function pack(request: PackRequest): Promise<Outcome> {
  confine(request.root, readingFiles);
  const walk = new ChangeWalk({ left: "left", right: "right", opaque: request.opaque });
  const layer = new Layer({ source: "right", latest: request.latest });
  const hash = new Bun.CryptoHasher("sha256");
  let size = 0;
  function* hashed(): Generator<Uint8Array> {
    for (const piece of gather(layer.write(walk.changes()))) {
      hash.update(piece);
      size += piece.length;
      yield piece;
    }
  }
  for await (const piece of compressed(hashed(), request.compression)) writeAllTo(1, piece);
  return { diffId: `sha256:${hash.digest("hex")}`, size };
}

/** Joins pieces up to a size that is worth a call. */
function* gather(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let size = 0;
  for (const piece of pieces) {
    if (piece.length === 0) continue;
    waiting.push(piece);
    size += piece.length;
    if (size < gathered) continue;
    yield waiting.length === 1 ? piece : Buffer.concat(waiting);
    waiting = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(waiting);
}

/** Compression has no name, no time and one set of parameters: the same files give the same bytes. */
function compressed(
  pieces: Iterable<Uint8Array>,
  compression: PackCompression,
): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (compression === "none") return pieces;
  const stream = compression === "gzip" ? createGzip({ chunkSize: gathered }) : createZstdCompress();
  const source = Readable.from(pieces, { objectMode: false });
  source.once("error", (error) => stream.destroy(error));
  return source.pipe(stream);
}

function writeAllTo(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
}

if (import.meta.main) await runPacker(process.argv.slice(2));
