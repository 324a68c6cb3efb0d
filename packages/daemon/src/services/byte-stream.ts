import { Data, WindowUpdate } from "@hull/api/gen/containerd/types/transfer/streaming";
import { decodeAny, encodeAny } from "@hull/api/typeurl";
import { canceled } from "@hull/errors";
import type { ServerStream } from "./streaming.ts";

const dataType = "containerd.types.transfer.Data";
const windowType = "containerd.types.transfer.WindowUpdate";

/** What the sender may be ahead. containerd opens 64 KiB; more spares a fast sender the waiting. */
const window = 4 * 1024 * 1024;

/**
 * The bytes that a client sends over a stream: it sends Data within the window that this side opens with WindowUpdate, and ends it by
 * saying that nothing follows.
 */
export async function* receiveBytes(stream: ServerStream): AsyncGenerator<Uint8Array, void, undefined> {
  await stream.send(encodeAny(windowType, WindowUpdate, { update: window }));
  let consumed = 0;
  for (;;) {
    const message = await stream.receive();
    if (message === undefined) return;
    const { data } = decodeAny(message, dataType, Data);
    yield data;
    consumed += data.length;
    if (consumed < window / 4) continue;
    await stream.send(encodeAny(windowType, WindowUpdate, { update: consumed }));
    consumed = 0;
  }
}

/** The most bytes in one message; more would hold up what else the connection carries. */
const chunk = 256 * 1024;

/**
 * Sends bytes to a client over a stream, as much ahead as the client opens its window with WindowUpdate. Resolves when the last of them
 * is on its way. @throws Canceled if the client has gone; what `bytes` throws
 */
export async function sendBytes(
  stream: ServerStream,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  let open = 0;
  let gone = false;
  let wake = (): void => {};
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  (async () => {
    for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) {
      open += decodeAny(message, windowType, WindowUpdate).update;
      wake();
    }
  })()
    .catch(() => {})
    .finally(() => {
      gone = true;
      wake();
    });
  try {
    for await (const part of bytes) {
      for (let at = 0; at < part.length; ) {
        while (open <= 0) {
          signal.throwIfAborted();
          if (gone) throw canceled("the client ended the stream before all was sent");
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const data = part.subarray(at, at + Math.min(open, chunk));
        open -= data.length;
        at += data.length;
        await stream.send(encodeAny(dataType, Data, { data }));
      }
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The most text that waits for a client to take it; what comes then is left out. */
const maxWaiting = 1024 * 1024;

/** Text for a client that looks on: the work that it is about doesn't wait for it. */
export class TextSender {
  readonly #encoder = new TextEncoder();
  readonly #done: Promise<void>;
  #waiting: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #wake = (): void => {};

  constructor(stream: ServerStream, signal: AbortSignal) {
    // A client that has gone sees nothing more.
    this.#done = sendBytes(stream, this.#pieces(), signal).catch(() => {});
  }

  push(text: string): void {
    if (this.#size > maxWaiting) return;
    const bytes = this.#encoder.encode(text);
    this.#size += bytes.length;
    this.#waiting.push(bytes);
    this.#wake();
  }

  /** Resolves when all of it is on its way. */
  async finish(): Promise<void> {
    this.#ended = true;
    this.#wake();
    await this.#done;
  }

  async *#pieces(): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const pieces = this.#waiting;
      this.#waiting = [];
      this.#size = 0;
      yield* pieces;
      if (this.#waiting.length > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
