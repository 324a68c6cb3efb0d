import type { OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { decodeTimeout, trailersOf } from "@hull/api/grpc/headers";
import { encodeMessageFrame, MessageDecoder } from "@hull/api/grpc/message";
import { type BoundMethod, isUnary } from "@hull/api/handler";
import { type Inbox, pausingInbox } from "@hull/api/inbox";
import type { CallContext } from "@hull/api/rpc";
import { toWireStatus, type WireStatus } from "@hull/api/status";
import { canceled, codes, deadlineExceeded, HullError, internal } from "@hull/errors";

/** The longest messages, bytes. */
export interface MessageLimits {
  readonly receive: number;
  readonly send: number;
}

/** What the calls of a connection have in common. */
export interface CallHost {
  readonly limits: MessageLimits;
  /** The calls whose signal somebody listens to. */
  readonly running: Set<GrpcCall>;
  /** Lets what is written until the next turn of the event loop leave as one. */
  gather(): void;
}

export interface RequestHeaders {
  /** `grpc-timeout`, if there is one. */
  readonly timeout: string | undefined;
  /** All, name and value in turn. */
  readonly raw: readonly string[];
}

/** Bytes of requests that may wait for their handler before the caller is told to pause. */
const highWater = 1024 * 1024;

/** Messages of one answer that may follow each other before other events have their turn. */
const messagesPerTurn = 64;

const responseHeaders = { ":status": 200, "content-type": "application/grpc" };
const withTrailers = { waitForTrailers: true, sendDate: false };
const trailersOnly = { endStream: true, sendDate: false };
const success: WireStatus = { code: 0, message: "" };

/**
 * One call that is served on an HTTP/2 stream.
 *
 *   new ──► serve(method) … requests, answers … ──► over: status sent, or the caller gone
 *
 * What ends it early (the caller, its deadline) aborts `signal`; so does its end.
 */
export class GrpcCall implements CallContext {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: RequestHeaders;
  readonly #host: CallHost;
  readonly #decoder: MessageDecoder;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #controller: AbortController | undefined;
  #inbox: Inbox | undefined;
  #status: WireStatus = success;
  /** Why the call is over. */
  #over: HullError | undefined;

  constructor(stream: ServerHttp2Stream, headers: RequestHeaders, host: CallHost) {
    this.#stream = stream;
    this.#headers = headers;
    this.#host = host;
    this.#decoder = new MessageDecoder(host.limits.receive);
    // What went wrong is told by the close that follows.
    stream.on("error", () => {});
    stream.on("close", () => this.#end(canceled("the caller ended the call")));
    stream.on("wantTrailers", () => this.#sendTrailers());
  }

  metadata(key: string): string | undefined {
    const { raw } = this.#headers;
    for (let at = 0; at < raw.length; at += 2) if (raw[at] === key) return raw[at + 1];
    return undefined;
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

  /** Ends the call with an error of the transport itself: its text goes out as it is. */
  refuse({ code, message }: HullError, headers: OutgoingHttpHeaders = {}): void {
    this.#finish({ code: codes[code].number, message }, headers);
  }

  serve(method: BoundMethod): void {
    const { timeout } = this.#headers;
    if (timeout !== undefined && !this.#expireAfter(timeout)) return;
    if (isUnary(method)) this.#serveUnary(method);
    else void this.#serveStream(method);
  }

  #serveUnary(method: BoundMethod): void {
    let request: Uint8Array | undefined;
    const onMessage = (message: Uint8Array): void => {
      if (request === undefined) request = message;
      else this.refuse(internal("grpc: more than one request for a method that takes one"));
    };
    this.#receive(onMessage, () => {
      if (request === undefined) this.refuse(internal("grpc: no request for a method that takes one"));
      else {
        method.unary(request, this).then(
          (response) => this.#answer(response),
          (thrown: unknown) => this.#finish(toWireStatus(thrown)),
        );
      }
    });
  }

  async #serveStream(method: BoundMethod): Promise<void> {
    const inbox = pausingInbox(this.#stream, highWater);
    this.#inbox = inbox;
    this.#receive(
      (request) => inbox.push(request),
      () => inbox.end(),
    );
    try {
      let sent = 0;
      for await (const message of method.stream(inbox, this)) {
        if (this.#over !== undefined) break;
        if (!this.#write(message)) await this.#writable();
        // An answer that is in memory as a whole would be written without the loop ever seeing that the caller has left.
        if (++sent % messagesPerTurn === 0) await turn();
      }
      this.#finish(success);
    } catch (thrown) {
      this.#finish(toWireStatus(thrown));
    }
  }

  /** Hands over the messages of the body as they come. What is no body of gRPC ends the call. */
  #receive(onMessage: (message: Uint8Array) => void, onEnd: () => void): void {
    const hand = (message: Uint8Array): void => {
      if (this.#over === undefined) onMessage(message);
    };
    this.#stream.on("data", (chunk: Uint8Array) => {
      if (this.#over !== undefined) return;
      try {
        this.#decoder.push(chunk, hand);
      } catch (thrown) {
        this.refuse(HullError.from(thrown));
      }
    });
    this.#stream.on("end", () => {
      // A stream that was reset ends as well before it closes, and what came of it must not look whole.
      if (this.#over !== undefined || this.#isGone || this.#stream.aborted) return;
      if (this.#decoder.atBoundary) onEnd();
      else this.refuse(internal("grpc: the request was cut off"));
    });
  }

  /** Sends the only answer, and success. */
  #answer(response: Uint8Array): void {
    if (this.#over !== undefined) return;
    const frame = this.#frame(response);
    if (frame === undefined) return;
    this.#end(overError);
    if (this.#isGone) return;
    this.#respond();
    this.#stream.end(frame);
  }

  /** False if the next message should wait until it is `#writable`. */
  #write(message: Uint8Array): boolean {
    const frame = this.#frame(message);
    if (frame === undefined || this.#isGone) return true;
    if (!this.#stream.headersSent) this.#respond();
    return this.#stream.write(frame);
  }

  /** The message as it is sent; if it is too long the call ends. */
  #frame(message: Uint8Array): Uint8Array | undefined {
    try {
      return encodeMessageFrame(message, this.#host.limits.send);
    } catch (thrown) {
      this.refuse(HullError.from(thrown));
      return undefined;
    }
  }

  #respond(): void {
    // Headers, the first message and, if it is the only one, trailers: a write for each would take longer than the call.
    this.#host.gather();
    this.#stream.respond(responseHeaders, withTrailers);
  }

  /** Until the call takes more, or is over. */
  #writable(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off("drain", done);
        this.#stream.off("close", done);
        resolve();
      };
      this.#stream.on("drain", done);
      this.#stream.on("close", done);
    });
  }

  /** Sends the status, and `headers` if none have been sent. */
  #finish(status: WireStatus, headers?: OutgoingHttpHeaders): void {
    if (this.#over !== undefined) return;
    this.#end(overError);
    this.#status = status;
    const stream = this.#stream;
    if (this.#isGone) return;
    if (stream.headersSent) {
      stream.end();
    } else {
      stream.respond({ ...responseHeaders, ...headers, ...trailersOf(status) }, trailersOnly);
      this.#leaveRequest();
    }
  }

  #sendTrailers(): void {
    if (this.#isGone) return;
    this.#stream.sendTrailers(trailersOf(this.#status));
    this.#leaveRequest();
  }

  /** True from the end of the stream on, of which `close` tells later. */
  get #isGone(): boolean {
    const { destroyed, closed, session } = this.#stream;
    return destroyed || closed || session === undefined;
  }

  /** A caller that is answered need not send the rest of its requests. */
  #leaveRequest(): void {
    if (!this.#stream.readableEnded) this.#stream.close(0);
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
      this.refuse(internal(HullError.from(thrown).message), { ":status": 400 });
      return false;
    }
  }

  #expire(): void {
    const error = deadlineExceeded("context deadline exceeded");
    this.interrupt(error);
    this.refuse(error);
  }
}

const overError = canceled("the call is over");

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
