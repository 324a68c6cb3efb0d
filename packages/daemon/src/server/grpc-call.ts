import { decodeTimeout, trailersOf } from "@hull/api/grpc/headers";
import { MessageDecoder, messagePrefix } from "@hull/api/grpc/message";
import { type BoundMethod, isUnary } from "@hull/api/handler";
import { type Inbox, pausingInbox } from "@hull/api/inbox";
import type { CallContext } from "@hull/api/rpc";
import { toWireStatus, type WireStatus } from "@hull/api/status";
import { canceled, codes, deadlineExceeded, HullError, internal } from "@hull/errors";
import { type FieldList, fieldOf, type Stream, type StreamReceiver } from "@hull/http2";

/** The longest messages, bytes. */
export interface MessageLimits {
  readonly receive: number;
  readonly send: number;
}

/** What the calls of a server have in common. */
export interface CallHost {
  readonly limits: MessageLimits;
  /** Of the running calls those whose signal somebody listens to: streams, waits, long work. */
  readonly running: Set<GrpcCall>;
}

/** How a call ends with an error of the transport itself: its text goes out as it is. */
export interface Refusal {
  readonly error: HullError;
  /** Of HTTP, 200 unless told. */
  readonly status?: string;
  /** Headers beside the usual ones. */
  readonly fields?: FieldList;
}

/** Bytes of requests that may wait for their handler before the caller is told to pause. */
const highWater = 1024 * 1024;

/** Messages of one answer that may follow each other before other events have their turn. */
const messagesPerTurn = 64;

const responseHeaders: FieldList = [":status", "200", "content-type", "application/grpc"];
const success: WireStatus = { code: 0, message: "" };

/**
 * One call that is served on an HTTP/2 stream.
 *
 *   new ──► serve(method) … requests, answers … ──► over: status sent, or the caller gone
 *
 * What ends it early (the caller, its deadline) aborts `signal`; so does its end.
 */
export class GrpcCall implements CallContext, StreamReceiver {
  readonly #stream: Stream;
  readonly #fields: FieldList;
  readonly #host: CallHost;
  readonly #decoder: MessageDecoder;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #controller: AbortController | undefined;
  #method: BoundMethod | undefined;
  /** The request of a method that takes one and gives one. */
  #request: Uint8Array | undefined;
  /** The requests of any other. */
  #inbox: Inbox | undefined;
  /** Why the call is over. */
  #over: HullError | undefined;

  constructor(stream: Stream, fields: FieldList, host: CallHost) {
    this.#stream = stream;
    this.#fields = fields;
    this.#host = host;
    this.#decoder = new MessageDecoder(host.limits.receive);
  }

  metadata(key: string): string | undefined {
    return fieldOf(this.#fields, key);
  }

  // Made on demand: most calls are over before anybody asks.
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#over !== undefined) this.#controller.abort(this.#over);
      else this.#host.running.add(this);
    }
    return this.#controller.signal;
  }

  /** Aborts the signal; the handler says how the call ends. */
  interrupt(error: HullError): void {
    this.#controller?.abort(error);
  }

  refuse({ error: { code, message }, status, fields }: Refusal): void {
    const headers = status === undefined ? responseHeaders : [":status", status, ...responseHeaders.slice(2)];
    this.#finish({ code: codes[code].number, message }, fields === undefined ? headers : [...headers, ...fields]);
  }

  /** @param timeout `grpc-timeout`, if there is one */
  serve(method: BoundMethod, timeout: string | undefined): void {
    if (timeout !== undefined && !this.#expireAfter(timeout)) return;
    this.#method = method;
    if (!isUnary(method)) void this.#serveStream(method);
  }

  data(chunk: Uint8Array): void {
    if (this.#over !== undefined) return;
    try {
      this.#decoder.push(chunk, this.#receive);
    } catch (thrown) {
      this.refuse({ error: HullError.from(thrown) });
    }
  }

  ended(): void {
    if (this.#over !== undefined) return;
    if (!this.#decoder.atBoundary) this.refuse({ error: internal("grpc: the request was cut off") });
    else if (this.#inbox !== undefined) this.#inbox.end();
    else if (this.#method !== undefined) this.#serveUnary(this.#method);
  }

  closed(): void {
    // Making an error takes longer than most calls' other work.
    if (this.#over === undefined) this.#end(canceled("the caller ended the call"));
  }

  readonly #receive = (message: Uint8Array): void => {
    if (this.#over !== undefined) return;
    if (this.#inbox !== undefined) this.#inbox.push(message);
    else if (this.#request === undefined) this.#request = message;
    else this.refuse({ error: internal("grpc: more than one request for a method that takes one") });
  };

  #serveUnary(method: BoundMethod): void {
    const request = this.#request;
    if (request === undefined) {
      this.refuse({ error: internal("grpc: no request for a method that takes one") });
      return;
    }
    method.unary(request, this).then(
      (response) => this.#answer(response),
      (thrown: unknown) => this.#finish(toWireStatus(thrown)),
    );
  }

  async #serveStream(method: BoundMethod): Promise<void> {
    const inbox = pausingInbox(this.#stream, highWater);
    this.#inbox = inbox;
    try {
      let sent = 0;
      for await (const parts of method.streamParts(inbox, this)) {
        if (this.#over !== undefined) break;
        if (!this.#write(parts)) await this.#stream.drained();
        // An answer that is in memory as a whole would be written without the loop ever seeing that the caller has left.
        if (++sent % messagesPerTurn === 0) await turn();
      }
      this.#finish(success);
    } catch (thrown) {
      this.#finish(toWireStatus(thrown));
    }
  }

  /** Sends the only answer, and success. */
  #answer(response: Uint8Array): void {
    if (this.#over !== undefined) return;
    this.#write([response]);
    this.#finish(success);
  }

  /** False if the next message should wait until the stream is drained. One that is too long ends the call. */
  #write(parts: readonly Uint8Array[]): boolean {
    try {
      let length = 0;
      for (const part of parts) length += part.length;
      const prefix = messagePrefix(length, this.#host.limits.send);
      this.#stream.respond(responseHeaders);
      return this.#stream.write([prefix, ...parts]);
    } catch (thrown) {
      this.refuse({ error: HullError.from(thrown) });
      return true;
    }
  }

  /** Sends the status, with `headers` if none have been sent. */
  #finish(status: WireStatus, headers: FieldList = responseHeaders): void {
    if (this.#over !== undefined) return;
    this.#end(overError);
    const trailers = trailersOf(status);
    if (this.#stream.responded) this.#stream.end(trailers);
    else this.#stream.respond([...headers, ...trailers], true);
  }

  /** The first reason counts. */
  #end(error: HullError): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    clearTimeout(this.#timer);
    this.#host.running.delete(this);
    this.#inbox?.fail(error);
    this.#controller?.abort(error);
  }

  /** Sets the deadline. False if it is none and the call has ended for it. */
  #expireAfter(timeout: string): boolean {
    try {
      const ms = decodeTimeout(timeout);
      // Beyond this a timer of the runtime fires at once; nobody waits 24 days for a call.
      this.#timer = setTimeout(() => this.#expire(), Math.min(ms, 2 ** 31 - 1));
      return true;
    } catch (thrown) {
      this.refuse({ error: internal(HullError.from(thrown).message), status: "400" });
      return false;
    }
  }

  #expire(): void {
    const error = deadlineExceeded("context deadline exceeded");
    this.interrupt(error);
    this.refuse({ error });
  }
}

const overError = canceled("the call is over");

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
