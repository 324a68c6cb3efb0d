/**
 * How layers are compressed, told by their first bytes, and taking it off again.
 *
 * A media type only says what may be there: containerd too looks at the bytes, and takes a plain tar for any type.
 */

import { invalidArgument } from "@hull/errors";
import { Codec, type CodecKind } from "./codec.ts";
import { ZstdFrames } from "./zstd-frames.ts";

export type Compression = "none" | CodecKind;

/** Bytes that `detectCompression` wants to see, or all there are. */
export const detectionLength = 4;

/** gzip: RFC 1952, 2.3.1 (with deflate, the only method there is); zstd: RFC 8878, 3.1.1, and skippable frames, 3.1.2. */
export function detectCompression(start: Uint8Array): Compression {
  const [a, b, c, d] = start;
  if (a === 0x1f && b === 0x8b && c === 0x08) return "gzip";
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return "zstd";
  if (a !== undefined && (a & 0xf0) === 0x50 && b === 0x2a && c === 0x4d && d === 0x18) return "zstd";
  return "none";
}

/** Fills a part of `into`, and gives the number of bytes: 0 at the end. */
export type Read = (into: Uint8Array) => number;

/** Sizes that were measured: smaller ones cost rounds, larger ones don't fit the processor's cache. */
const inputSize = 1 << 18;
const outputSize = 1 << 19;

/**
 * Reads a stream to its end, takes the compression off, and hands the bytes over piece by piece; they are valid during the call.
 *
 * The next piece is decompressed on another thread while `take` works on the one before, so both of two cores are busy.
 *
 * @param progress is called with the number of bytes read so far
 * @throws invalidArgument if the stream is damaged or cut off; what `read` and `take` throw
 */
export async function decompress(
  read: Read,
  take: (bytes: Uint8Array) => void,
  progress: (bytes: number) => void = () => {},
): Promise<void> {
  const input = new Uint8Array(inputSize);
  let available = read(input);
  while (available > 0 && available < detectionLength) {
    const more = read(input.subarray(available));
    if (more === 0) break;
    available += more;
  }
  const compression = detectCompression(input.subarray(0, available));
  if (compression !== "none") {
    await decompressWith(compression, read, input, available, take, progress);
    return;
  }
  for (let total = 0; available > 0; available = read(input)) {
    take(input.subarray(0, available));
    total += available;
    progress(total);
  }
}

async function decompressWith(
  kind: CodecKind,
  read: Read,
  input: Uint8Array,
  first: number,
  take: (bytes: Uint8Array) => void,
  progress: (bytes: number) => void,
): Promise<void> {
  using codec = new Codec(kind);
  const frames = kind === "zstd" ? new ZstdFrames() : undefined;
  const outputs = [new Uint8Array(outputSize), new Uint8Array(outputSize)] as const;
  let turn: 0 | 1 = 0;
  let at = 0;
  let available = first;
  let total = first;
  let last = false;
  let waiting = outputs[0].subarray(0, 0);
  frames?.push(input.subarray(0, first));
  progress(total);

  for (;;) {
    const output = outputs[turn];
    const step = codec.step(input, at, available, output, last);
    try {
      if (waiting.length > 0) take(waiting);
    } catch (error) {
      // The thread still writes into our buffers: it has to be done before they go.
      await step.catch(() => {});
      throw error;
    }
    const { consumed, produced } = await step;
    waiting = output.subarray(0, produced);
    turn = turn === 0 ? 1 : 0;
    at += consumed;
    available -= consumed;
    if (produced === output.length) continue;
    if (available > 0) {
      if (consumed > 0) continue;
      throw invalidArgument(`${kind} data is damaged: other bytes follow its end`);
    }
    if (last) break;
    at = 0;
    available = read(input);
    total += available;
    last = available === 0;
    if (!last) {
      frames?.push(input.subarray(0, available));
      progress(total);
    }
  }
  if (waiting.length > 0) take(waiting);
  if (frames?.complete === false) throw invalidArgument("zstd data is damaged: unexpected end of file");
}
