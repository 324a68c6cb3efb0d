/**
 * The runtime's own streaming decompressors, a step at a time: from a buffer of ours into a buffer of ours, on another thread.
 *
 * node:zlib's streams copy, allocate and queue what passes through them, which costs a third of their speed. They sit on a
 * handle that does without all this; it is reached here, and nowhere else. Its shape is checked, since no document promises it.
 */

import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { internal, invalidArgument } from "@hull/errors";

/** A compression that a decompressor exists for. */
export type CodecKind = "gzip" | "zstd";

/** What one step did. */
export interface Step {
  /** Bytes of the input that were used up. */
  readonly consumed: number;
  /** Bytes of the output that were filled. */
  readonly produced: number;
}

interface Handle {
  init(...parameters: unknown[]): void;
  write(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ): void;
  close(): void;
  onerror: ((message: string, number: number, code: string) => void) | undefined;
}

/** zlib's largest window with the gzip container alone. */
const windowBits = 15;
/** "As it is by default", for each parameter of zstd. */
const unset = 0xffffffff;

/** Decompresses one stream. Steps follow one another; the buffers of one are the codec's until it is over. */
export class Codec implements Disposable {
  readonly #handle: Handle;
  readonly #flushEnd: number;
  /** Written by the handle: room left in the output, bytes left of the input. */
  readonly #state = new Uint32Array(2);
  #settle: ((error: Error | undefined) => void) | undefined;

  constructor(kind: CodecKind) {
    this.#handle = newHandle(kind);
    this.#handle.onerror = (message) => this.#done(invalidArgument(`${kind} data is damaged: ${message}`));
    const done = () => this.#done(undefined);
    if (kind === "gzip") {
      this.#handle.init(windowBits, constants.Z_DEFAULT_COMPRESSION, 8, 0, this.#state, done, undefined);
      this.#flushEnd = constants.Z_FINISH;
    } else {
      this.#handle.init(new Uint32Array(256).fill(unset), undefined, this.#state, done);
      this.#flushEnd = constants.ZSTD_e_end;
    }
  }

  /**
   * One step on `length` bytes of `input` from `offset`. `last` says that no input follows.
   *
   * @throws invalidArgument if the stream is damaged; with `last`, if gzip's isn't complete
   */
  step(input: Uint8Array, offset: number, length: number, output: Uint8Array, last = false): Promise<Step> {
    return new Promise((resolve, reject) => {
      this.#settle = (error) => {
        if (error !== undefined) {
          reject(error);
          return;
        }
        const [room = 0, left = 0] = this.#state;
        resolve({ consumed: length - left, produced: output.length - room });
      };
      const flush = last ? this.#flushEnd : 0;
      this.#handle.write(flush, input, offset, length, output, 0, output.length);
    });
  }

  #done(error: Error | undefined): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(error);
  }

  [Symbol.dispose](): void {
    this.#handle.close();
  }
}

function newHandle(kind: CodecKind): Handle {
  const stream = kind === "gzip" ? createGunzip() : createZstdDecompress();
  const inner: unknown = Reflect.get(stream, "_handle");
  const mode = kind === "gzip" ? constants.GUNZIP : constants.ZSTD_DECOMPRESS;
  stream.destroy();
  if (typeof inner === "object" && inner !== null && typeof inner.constructor === "function") {
    const handle: unknown = Reflect.construct(inner.constructor, [mode]);
    if (isHandle(handle)) return handle;
  }
  throw internal(
    `this runtime's ${kind} decompressor has another shape than hull knows: use the runtime hull came with`,
  );
}

function isHandle(value: unknown): value is Handle {
  if (typeof value !== "object" || value === null) return false;
  return ["init", "write", "close"].every((name) => typeof Reflect.get(value, name) === "function");
}
