/** Streams beside a transfer: its progress, its bytes, credentials that are asked for, what is shown of its requests. */

import { StreamInit, StreamingDefinition } from "@hull/api/gen/containerd/services/streaming/v1/streaming";
import { Data, WindowUpdate } from "@hull/api/gen/containerd/types/transfer/streaming";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { decodeAny, encodeAny } from "@hull/api/typeurl";
import { canceled } from "@hull/errors";
import type { Client } from "./client.ts";

const types = {
  init: "containerd.services.streaming.v1.StreamInit",
  data: "containerd.types.transfer.Data",
  window: "containerd.types.transfer.WindowUpdate",
} as const;

/** The most bytes in one message. */
const chunk = 256 * 1024;
/** What the other side may be ahead when it sends. */
const receiveWindow = 2 * 1024 * 1024;
/** How long the last bytes are waited for when the other side doesn't say which they are, ms. */
export const lastBytesMs = 250;

/** Streams that are opened for a transfer, and end with it. */
export class ClientStreams implements AsyncDisposable {
  readonly #client: Client;
  readonly #abort = new AbortController();
  readonly #ends = new Map<string, Promise<void>>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Opens a stream whose messages go to `receive`. Gives its id. */
  listen(kind: string, receive: (message: Any) => void): Promise<string> {
    return this.#open(kind, new Outgoing(), receive);
  }

  /** Opens a stream on which each question is answered; one that can't be ends the transfer. */
  serve(kind: string, answer: (question: Any) => Promise<Any>): Promise<string> {
    const outgoing = new Outgoing();
    return this.#open(kind, outgoing, (question) => {
      answer(question).then(
        (message) => outgoing.push(message),
        (error: unknown) => this.fail(error),
      );
    });
  }

  /** What went wrong on this side, if anything did; it ended all streams. */
  failure: unknown;

  fail(error: unknown): void {
    this.failure ??= error;
    this.#abort.abort(error);
  }

  /** Opens a stream and sends bytes over it, within the window that the other side opens. */
  async sendBytes(kind: string, bytes: AsyncIterable<Uint8Array>): Promise<string> {
    const outgoing = new Outgoing();
    const window = new Window();
    const id = await this.#open(kind, outgoing, (message) =>
      window.open(decodeAny(message, types.window, WindowUpdate).update),
    );
    const sending = (async () => {
      for await (const data of bytes) {
        for (let at = 0; at < data.length; ) {
          const size = await window.take(Math.min(chunk, data.length - at));
          await outgoing.send(encodeAny(types.data, Data, { data: data.subarray(at, at + size) }));
          at += size;
        }
      }
      outgoing.end();
    })();
    // What can't be read is told to the transfer by ending the stream, and by the error of the call.
    sending.catch((error: unknown) => this.fail(error));
    return id;
  }

  /** Opens a stream on which the other side sends bytes, and gives them as they come. */
  async receiveBytes(kind: string): Promise<{ id: string; bytes: AsyncIterable<Uint8Array>; end: () => void }> {
    const outgoing = new Outgoing();
    const incoming = new Incoming();
    const id = await this.#open(kind, outgoing, (message) => {
      incoming.push(decodeAny(message, types.data, Data).data);
    });
    this.#ends.get(id)?.then(
      () => incoming.end(),
      (error: unknown) => incoming.end(error),
    );
    const open = (update: number): void => outgoing.push(encodeAny(types.window, WindowUpdate, { update }));
    async function* bytes(): AsyncGenerator<Uint8Array, void, undefined> {
      open(receiveWindow);
      for await (const data of incoming.bytes()) {
        yield data;
        open(data.length);
      }
    }
    return { id, bytes: bytes(), end: () => incoming.end() };
  }

  readonly #shows: Promise<void>[] = [];

  /** Opens a stream on which the other side sends bytes for somebody to look at. Gives its id. */
  async show(kind: string, write: (bytes: Uint8Array) => void): Promise<string> {
    const { id, bytes } = await this.receiveBytes(kind);
    const showing = (async () => {
      for await (const piece of bytes) write(piece);
    })();
    // That the stream broke is the transfer's to tell.
    this.#shows.push(showing.catch(() => {}));
    return id;
  }

  /** Resolves when all that was sent to look at has been shown; a daemon that doesn't end its streams is not waited for long. */
  async shown(): Promise<void> {
    if (this.#shows.length === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, lastBytesMs);
    await Promise.race([Promise.all(this.#shows), promise]);
    clearTimeout(timer);
  }

  /** Resolves when the other side has ended the stream. */
  async ended(id: string): Promise<void> {
    await this.#ends.get(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(canceled("the transfer is over"));
    await Promise.allSettled(this.#ends.values());
  }

  async #open(kind: string, outgoing: Outgoing, receive: (message: Any) => void): Promise<string> {
    const id = `${kind}-${crypto.randomUUID()}`;
    outgoing.push(encodeAny(types.init, StreamInit, { id }));
    const { signal } = this.#abort;
    const answers = this.#client.service(StreamingDefinition).stream(outgoing.messages(), { signal });
    const opened = Promise.withResolvers<void>();
    const reading = (async () => {
      let first = true;
      for await (const message of answers) {
        if (first) opened.resolve();
        else receive(message);
        first = false;
      }
    })();
    reading.catch(opened.reject);
    this.#ends.set(id, reading);
    await opened.promise;
    return id;
  }
}

/** Messages on their way out. */
class Outgoing {
  readonly #queue: { message: Any; taken?: () => void }[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(message: Any): void {
    this.#queue.push({ message });
    this.#wake?.();
  }

  /** Resolves when the message has been taken. */
  send(message: Any): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push({ message, taken: resolve });
      this.#wake?.();
    });
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *messages(): AsyncGenerator<Any, void, undefined> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        yield next.message;
        next.taken?.();
      } else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** Bytes on their way in; there are never more than the window that was opened for them. */
class Incoming {
  readonly #queue: Uint8Array[] = [];
  #ended = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  push(data: Uint8Array): void {
    this.#queue.push(data);
    this.#wake?.();
  }

  /** Nothing follows; the first word on that counts. */
  end(failure?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#wake?.();
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else if (this.#failure !== undefined) throw this.#failure;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** Bytes that may still be sent. */
class Window {
  #left = 0;
  #wake: (() => void) | undefined;

  open(bytes: number): void {
    this.#left += bytes;
    this.#wake?.();
  }

  /** Waits until something may be sent; gives how much of what is wanted. */
  async take(wanted: number): Promise<number> {
    while (this.#left <= 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const size = Math.min(wanted, this.#left);
    this.#left -= size;
    return size;
  }
}
