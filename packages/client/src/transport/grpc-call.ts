import { type MethodRef, nameOf, watchCall } from "@hull/api/call";
import { encodeTimeout, httpError, pushMetadata, resetCode, statusOf } from "@hull/api/grpc/headers";
import { MessageDecoder, messagePrefix } from "@hull/api/grpc/message";
import type { CallOptions } from "@hull/api/rpc";
import { HullError, internal, unavailable } from "@hull/errors";
import {
  type Connection,
  errorCodes,
  type FieldList,
  fieldOf,
  type Stream,
  type StreamEnd,
  type StreamReceiver,
} from "@hull/http2";

/** What a call tells its owner. `end` comes once, after all messages. */
export interface CallEvents {
  message(message: Uint8Array): void;
  end(error: HullError | null): void;
}

/**
 * One gRPC call on an HTTP/2 stream.
 *
 *   new ──► send … sendEnd ──► message … end
 *
 * `end` comes when the status is known and every message has been handed over, or as soon as the caller ends the call.
 */
export class GrpcCall implements StreamReceiver {
  readonly #ref: MethodRef;
  readonly #events: CallEvents;
  readonly #stream: Stream;
  readonly #watch: Disposable;
  readonly #decoder = new MessageDecoder();
  #headers: FieldList = [];
  #trailers: FieldList = [];
  #over = false;

  /** @throws InvalidArgument for metadata that can't be sent. */
  constructor(connection: Connection, ref: MethodRef, options: CallOptions, events: CallEvents) {
    this.#ref = ref;
    this.#events = events;
    this.#stream = connection.request(headersOf(ref, options), this);
    this.#watch = watchCall(ref, options, (error) => this.cancel(error));
  }

  get over(): boolean {
    return this.#over;
  }

  /** Sends a message; resolves when more may be sent. Rejects with ResourceExhausted if it is too long. */
  async send(message: Uint8Array): Promise<void> {
    const prefix = messagePrefix(message.length);
    if (this.#over || this.#stream.write([prefix, message])) return;
    await this.#stream.drained();
  }

  /** Says that no message follows, after a last one if it is given. */
  sendEnd(message?: Uint8Array): void {
    if (this.#over) return;
    if (message === undefined) this.#stream.end();
    else this.#stream.write([messagePrefix(message.length), message], true);
  }

  /** Ends the call here and at the server. */
  cancel(error: HullError): void {
    if (this.#over) return;
    this.#stream.reset();
    this.#end(error);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  headers(fields: FieldList): void {
    this.#headers = fields;
  }

  trailers(fields: FieldList): void {
    this.#trailers = fields;
  }

  data(chunk: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#decoder.push(chunk, this.#receive);
    } catch (thrown) {
      this.cancel(HullError.from(thrown));
    }
  }

  ended(): void {
    this.#end(this.#result({ kind: "done" }));
  }

  closed(end: StreamEnd): void {
    this.#end(this.#result(end));
  }

  readonly #receive = (message: Uint8Array): void => {
    if (!this.#over) this.#events.message(message);
  };

  #result(end: StreamEnd): HullError | null {
    const status = statusOf(this.#trailers) ?? statusOf(this.#headers);
    if (status) return status;
    const name = nameOf(this.#ref);
    if (status === null || statusOf(this.#trailers) === null) {
      return this.#decoder.atBoundary ? null : internal(`the answer of "${name}" was cut off`);
    }
    const httpStatus = Number(fieldOf(this.#headers, ":status") ?? 0);
    if (httpStatus !== 0 && httpStatus !== 200) return httpError(httpStatus);
    switch (end.kind) {
      case "done":
        return internal(`the answer of "${name}" ended without a status`);
      case "reset":
        return new HullError(resetCode(end.code), `"${name}" was reset by the server with HTTP/2 code ${end.code}`);
      case "refused":
        return unavailable(`"${name}" was not taken: the server is going away`);
      case "lost":
        return unavailable(`the connection closed before "${name}" was answered`, { cause: end.cause });
    }
  }

  #end(error: HullError | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#watch?.[Symbol.dispose]();
    // A server may answer while it is still being sent to: what it won't read must not keep the stream.
    if (!this.#stream.localEnded) this.#stream.reset(error === null ? errorCodes.noError : errorCodes.cancel);
    this.#events.end(error);
  }
}

function headersOf(ref: MethodRef, { metadata, timeoutMs }: CallOptions): FieldList {
  const headers = [":method", "POST", ":scheme", "http", ":path", `/${nameOf(ref)}`, ...commonHeaders];
  if (metadata !== undefined) pushMetadata(headers, metadata);
  if (timeoutMs !== undefined) headers.push("grpc-timeout", encodeTimeout(timeoutMs));
  return headers;
}

const commonHeaders: FieldList = [
  ...[":authority", "localhost", "content-type", "application/grpc", "te", "trailers", "user-agent", "hull"],
];
