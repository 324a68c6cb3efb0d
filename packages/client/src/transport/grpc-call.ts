import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { type MethodRef, nameOf, watchCall } from "@hull/api/call";
import {
  checkMetadata,
  encodeTimeout,
  type Headers,
  headerOf,
  httpError,
  resetCode,
  statusOf,
} from "@hull/api/grpc/headers";
import { encodeMessageFrame, MessageDecoder } from "@hull/api/grpc/message";
import type { CallOptions } from "@hull/api/rpc";
import { HullError, internal, unavailable } from "@hull/errors";

const cancelCode = 8;

/** A connection that calls go over. */
export interface Channel {
  readonly session: ClientHttp2Session;
  /** True if its socket is gone: what a stream says about its end then is the runtime's word, not the server's. */
  readonly isBroken: () => boolean;
}

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
export class GrpcCall {
  readonly #ref: MethodRef;
  readonly #isBroken: () => boolean;
  readonly #events: CallEvents;
  readonly #stream: ClientHttp2Stream;
  readonly #watch: Disposable;
  readonly #decoder = new MessageDecoder();
  #headers: Headers = {};
  #trailers: Headers | undefined;
  #bodyEnded = false;
  #cause: unknown;
  #ended = false;

  /** @throws InvalidArgument for metadata that can't be sent. */
  constructor({ session, isBroken }: Channel, ref: MethodRef, options: CallOptions, events: CallEvents) {
    this.#isBroken = isBroken;
    this.#ref = ref;
    this.#events = events;
    const stream = session.request(headersOf(ref, options));
    this.#stream = stream;
    stream.on("response", (headers: Headers) => {
      this.#headers = headers;
    });
    stream.on("trailers", (trailers: Headers) => {
      this.#trailers = trailers;
      this.#settle();
    });
    stream.on("data", (chunk: Uint8Array) => this.#data(chunk));
    stream.on("end", () => {
      this.#bodyEnded = true;
      this.#settle();
    });
    stream.on("error", (error) => {
      this.#cause = error;
    });
    stream.on("close", () => this.#end(this.#result()));
    this.#watch = watchCall(ref, options, (error) => this.cancel(error));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Sends a message; resolves when more may be sent. Rejects with ResourceExhausted if it is too long. */
  async send(message: Uint8Array): Promise<void> {
    const frame = encodeMessageFrame(message);
    if (this.#ended || this.#stream.write(frame)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#stream.off("drain", done);
        this.#stream.off("close", done);
        resolve();
      };
      this.#stream.on("drain", done);
      this.#stream.on("close", done);
    });
  }

  /** Says that no message follows, after a last one if it is given. */
  sendEnd(message?: Uint8Array): void {
    if (this.#ended) return;
    if (message === undefined) this.#stream.end();
    else this.#stream.end(encodeMessageFrame(message));
  }

  /** Ends the call here and at the server. */
  cancel(error: HullError): void {
    if (this.#ended) return;
    this.#stream.close(cancelCode);
    this.#end(error);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  #data(chunk: Uint8Array): void {
    if (this.#ended) return;
    try {
      this.#decoder.push(chunk, (message) => {
        if (!this.#ended) this.#events.message(message);
      });
    } catch (thrown) {
      this.cancel(HullError.from(thrown));
    }
  }

  /** Ends as soon as all is known; the stream's own end comes a turn of the event loop later. */
  #settle(): void {
    const status = this.#trailers === undefined ? undefined : statusOf(this.#trailers);
    if (this.#bodyEnded && status !== undefined) this.#end(this.#result());
  }

  #result(): HullError | null {
    const status = statusOf(this.#trailers ?? {}) ?? statusOf(this.#headers);
    const httpStatus = Number(headerOf(this.#headers, ":status") ?? 0);
    if (status) return status;
    if (status === null || statusOf(this.#trailers ?? {}) === null) {
      return this.#decoder.atBoundary ? null : internal(`the answer of "${nameOf(this.#ref)}" was cut off`);
    }
    if (httpStatus !== 0 && httpStatus !== 200) return httpError(httpStatus);
    const { rstCode } = this.#stream;
    if (rstCode !== undefined && rstCode !== 0 && !this.#isBroken()) {
      return new HullError(
        resetCode(rstCode),
        `"${nameOf(this.#ref)}" was reset by the server with HTTP/2 code ${rstCode}`,
        {
          cause: this.#cause,
        },
      );
    }
    return unavailable(`the connection closed before "${nameOf(this.#ref)}" was answered`, { cause: this.#cause });
  }

  #end(error: HullError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch?.[Symbol.dispose]();
    // A server may answer while it is still being sent to: what it won't read must not keep the stream.
    if (!this.#stream.writableEnded) this.#stream.close(error === null ? 0 : cancelCode);
    this.#events.end(error);
  }
}

function headersOf(ref: MethodRef, { metadata = {}, timeoutMs }: CallOptions): Record<string, string> {
  const headers: Record<string, string> = {
    ":method": "POST",
    ":path": `/${nameOf(ref)}`,
    "content-type": "application/grpc",
    te: "trailers",
    "user-agent": "hull",
    ...checkMetadata(metadata),
  };
  if (timeoutMs !== undefined) headers["grpc-timeout"] = encodeTimeout(timeoutMs);
  return headers;
}
