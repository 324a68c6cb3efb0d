import { HullError, invalidArgument, isCode, unavailable } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { discard } from "./request.ts";

/** Asks for the blob from `offset` on; without an offset for the whole. `signal` also ends the body. */
export type OpenBlob = (offset: number, signal: AbortSignal) => Promise<Response>;

export interface BodyOptions {
  open: OpenBlob;
  descriptor: Descriptor;
  offset: number;
  signal: AbortSignal;
  /** ms without a byte after which a connection counts as broken */
  stallTimeout: number;
}

/** Connections that break without having brought a byte, one after the other, until that is given up. */
const maxFruitless = 5;

/**
 * The bytes of a blob from `offset` to its end, each once and in order, over as many connections as it takes: one that breaks, stalls or
 * ends early is followed by another from where it stopped. A server that doesn't do ranges is read from the start again.
 * The first request is made before this returns, so that a refusal is thrown here.
 */
export async function openBody(options: BodyOptions): Promise<AsyncIterable<Uint8Array>> {
  if (options.offset >= options.descriptor.size) return (async function* () {})();
  const first = await connect(options, options.offset);
  return resume(options, first);
}

interface Connection {
  /** from here on, which is at or before the offset asked for */
  start: number;
  bytes: ReadableStream<Uint8Array>;
  abort: AbortController;
}

async function connect(options: BodyOptions, offset: number): Promise<Connection> {
  const abort = new AbortController();
  const signal = AbortSignal.any([options.signal, abort.signal]);
  let response = await options.open(offset, signal);
  let encoding = encodingOf(response, options.descriptor.size - offset);
  if (response.status === 206 && (encoding !== "" || (rangeStart(response) ?? Infinity) > offset)) {
    // A part of something encoded for the way can't be decoded, and one from further behind has a hole before it.
    await discard(response);
    response = await options.open(0, signal);
    encoding = encodingOf(response, options.descriptor.size);
  }
  const start = response.status === 206 ? (rangeStart(response) ?? 0) : 0;
  const raw = (response.body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>;
  return { start, bytes: encoding === "" ? raw : decode(raw, encoding), abort };
}

function rangeStart(response: Response): number | undefined {
  const [, start] = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "") ?? [];
  return start === undefined ? undefined : Number(start);
}

/** How the body was encoded for the way. Some servers say `gzip` of a layer that is a gzip file: its length tells. */
function encodingOf(response: Response, expected: number): "" | "gzip" | "deflate" | "zstd" {
  const encoding = (response.headers.get("content-encoding") ?? "").toLowerCase().replace("x-", "");
  if (response.headers.get("content-length") === String(expected)) return "";
  return encoding === "gzip" || encoding === "deflate" || encoding === "zstd" ? encoding : "";
}

function decode(raw: ReadableStream<Uint8Array>, encoding: "gzip" | "deflate" | "zstd"): ReadableStream<Uint8Array> {
  const stream = new DecompressionStream(encoding as "gzip");
  return raw.pipeThrough(stream as unknown as ReadableWritablePair<Uint8Array, Uint8Array>);
}

async function* resume(options: BodyOptions, first: Connection): AsyncGenerator<Uint8Array, void, undefined> {
  const { descriptor, signal } = options;
  let at = options.offset;
  let connection: Connection | undefined = first;
  let fruitless = 0;
  let failure: unknown;
  try {
    while (at < descriptor.size) {
      const before = at;
      try {
        connection ??= await connect(options, at);
        let position = connection.start;
        for await (const chunk of watched(connection, options.stallTimeout)) {
          const fresh: Uint8Array = chunk.subarray(Math.min(chunk.length, Math.max(0, at - position)));
          position += chunk.length;
          if (fresh.length === 0) continue;
          if (at + fresh.length > descriptor.size)
            throw invalidArgument(`blob "${descriptor.digest}" is longer than its ${descriptor.size} bytes`);
          at += fresh.length;
          yield fresh;
        }
      } catch (error) {
        if (signal.aborted) throw HullError.from(signal.reason);
        // An answer that says no is final; only what breaks on the way is tried again.
        if (error instanceof HullError && !isCode(error, "unavailable")) throw error;
        failure = error;
      }
      connection?.abort.abort();
      connection = undefined;
      fruitless = at > before ? 0 : fruitless + 1;
      if (at < descriptor.size && fruitless >= maxFruitless)
        throw unavailable(
          `blob "${descriptor.digest}" stopped after ${at} of ${descriptor.size} bytes and can't be gone on with`,
          {
            cause: failure,
          },
        );
    }
  } finally {
    connection?.abort.abort();
  }
}

/** The connection's chunks; throws if none comes for too long. */
async function* watched({ bytes, abort }: Connection, timeout: number): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = bytes.getReader();
  const stall = () => abort.abort(unavailable(`no bytes for ${timeout} ms`));
  try {
    for (;;) {
      const timer = setTimeout(stall, timeout);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
