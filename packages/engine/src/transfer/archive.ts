import { Readable } from "node:stream";
// As a whole: Node 20 and 22 can be without zstd, and a name that isn't there would end the import.
import zlib from "node:zlib";
import { HullError, invalidArgument, unimplemented } from "@hull/errors";
import { detectCompression, detectionLength } from "../diff/compression/index.ts";

/**
 * The bytes of an archive that may be compressed with gzip or zstd, uncompressed; told by the first bytes.
 * @throws InvalidArgument if the compressed data is damaged or cut off
 */
export async function* uncompressed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = source[Symbol.asyncIterator]();
  let start: Uint8Array = new Uint8Array();
  while (start.length < detectionLength) {
    const next = await chunks.next();
    if (next.done === true) break;
    start = start.length === 0 ? next.value : Buffer.concat([start, next.value]);
  }
  const whole = joined(start, chunks);
  const compression = detectCompression(start);
  if (compression === "none") {
    yield* whole;
    return;
  }
  let failure: unknown;
  const input = Readable.from(
    (async function* () {
      try {
        yield* whole;
      } catch (error) {
        // Told apart from the decompressor's own errors, which are the archive's fault.
        failure = error;
        throw error;
      }
    })(),
    { objectMode: false },
  );
  if (compression === "zstd" && zlib.createZstdDecompress === undefined)
    throw unimplemented(`an archive in zstd: Node ${process.versions.node} can't read it, use 24 or later`);
  const output = compression === "gzip" ? zlib.createGunzip() : zlib.createZstdDecompress();
  input.on("error", (error) => output.destroy(error));
  input.pipe(output);
  try {
    yield* output as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (failure !== undefined) throw failure;
    if (error instanceof HullError) throw error;
    throw invalidArgument(`the archive's ${compression} data is damaged or cut off: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    output.destroy();
    input.destroy();
  }
}

async function* joined(
  start: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (start.length > 0) yield start;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
