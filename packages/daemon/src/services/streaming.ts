import { StreamInit, StreamingDefinition } from "@hull/api/gen/containerd/services/streaming/v1/streaming";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { namespaceHeader } from "@hull/api/metadata";
import { decodeAny } from "@hull/api/typeurl";
import { alreadyExists, canceled, invalidArgument, notFound } from "@hull/errors";
import { type Service, service } from "../server/service.ts";
import { contextOf } from "./wire.ts";

const initType = "containerd.services.streaming.v1.StreamInit";
const empty: Any = { typeUrl: "google.protobuf.Empty", value: new Uint8Array(0) };

/**
 * Streams that a client has opened for another call to use.
 *
 *   client: Stream(StreamInit{id}) ──► known by its id, once per namespace ──claim(id)──► used by that one call ──► closed by either
 */
export class Streams {
  readonly #streams = new Map<string, ServerStream>();

  /** @throws AlreadyExists */
  open(namespace: string, id: string, requests: AsyncIterator<Any>): ServerStream {
    const key = `${namespace}/${id}`;
    if (this.#streams.has(key)) throw alreadyExists(`stream "${id}" already exists`);
    const stream = new ServerStream(requests);
    this.#streams.set(key, stream);
    return stream;
  }

  /** Gives the stream to the call that uses it; nobody else gets it after that. @throws NotFound */
  claim(namespace: string, id: string): ServerStream {
    const key = `${namespace}/${id}`;
    const stream = this.#streams.get(key);
    if (stream === undefined || stream.claimed) throw notFound(`stream "${id}" not found`);
    stream.claimed = true;
    return stream;
  }

  /** The stream has ended: its id may be used again. */
  forget(namespace: string, id: string): void {
    this.#streams.delete(`${namespace}/${id}`);
  }
}

/** The server's side of one stream of messages. */
export class ServerStream implements Disposable {
  claimed = false;
  readonly #requests: AsyncIterator<Any>;
  readonly #outbox: { message: Any; taken: () => void }[] = [];
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(requests: AsyncIterator<Any>) {
    this.#requests = requests;
  }

  /** What the client sends, until it says that nothing follows. */
  async receive(): Promise<Any | undefined> {
    const { done, value } = await this.#requests.next();
    return done ? undefined : value;
  }

  /** Sends a message; resolves when it is on its way. @throws Canceled if the client has gone */
  send(message: Any): Promise<void> {
    if (this.#closed) return Promise.reject(canceled("the stream is closed"));
    return new Promise((resolve) => {
      this.#outbox.push({ message, taken: resolve });
      this.#wake?.();
    });
  }

  /** Ends the stream for both sides; what has not been sent is dropped. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { taken } of this.#outbox.splice(0)) taken();
    this.#wake?.();
  }

  /** What is to be sent, until the stream is closed. */
  async *outgoing(signal: AbortSignal): AsyncGenerator<Any, void, undefined> {
    const wake = (): void => this.#wake?.();
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        const next = this.#outbox.shift();
        if (next !== undefined) {
          yield next.message;
          next.taken();
        } else if (this.#closed) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this[Symbol.dispose]();
    }
  }
}

export const streamingService = (streams: Streams): Service =>
  service(StreamingDefinition, {
    async *stream(requests, call) {
      const namespace = call.metadata(namespaceHeader) ?? contextOf(call).namespace;
      const incoming = requests[Symbol.asyncIterator]();
      const first = await incoming.next();
      if (first.done) throw invalidArgument("a stream begins with a StreamInit that names it");
      const { id } = decodeAny(first.value, initType, StreamInit);
      const stream = streams.open(namespace, id, incoming);
      try {
        yield empty;
        yield* stream.outgoing(call.signal);
      } finally {
        streams.forget(namespace, id);
      }
    },
  });
