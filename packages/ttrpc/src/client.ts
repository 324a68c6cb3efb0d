import { type MethodRef, watchCall } from "@hull/api/call";
import { type CallTransport, makeClient, only } from "@hull/api/caller";
import { Request, Response } from "@hull/api/gen/ttrpc/request";
import { Inbox } from "@hull/api/inbox";
import type { CallOptions, ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import { fromWireStatus } from "@hull/api/status";
import { HullError, internal, resourceExhausted, unavailable } from "@hull/errors";
import { type ByteLink, linkFactory } from "@hull/link";
import { cannotConnect, socketPathOf } from "./address.ts";
import { encodeFrame, type Frame, FrameDecoder, frameFlags, frameTypes, maximumPayload } from "./frame.ts";
import { throttle } from "./throttle.ts";

/** Connects to a ttrpc server at a unix socket: a path, or an address as a shim prints it. @throws Unavailable */
export async function connectTtrpc(address: string): Promise<TtrpcConnection> {
  const path = socketPathOf(address);
  const { connect } = await linkFactory();
  try {
    return new TtrpcConnection(await connect({ path }));
  } catch (cause) {
    throw cannotConnect(path, cause);
  }
}

/** A typed client of a service over a connection; `metadata` goes with every call. */
export function ttrpcClient<D extends ServiceDefinition>(
  definition: D,
  connection: TtrpcConnection,
  options: { metadata?: Readonly<Record<string, string>> } = {},
): ServiceClient<D> {
  return makeClient(definition, connection, options.metadata);
}

/** A call that waits for frames. */
interface OpenCall {
  response(frame: Frame): void;
  data(frame: Frame): void;
  fail(error: HullError): void;
}

/**
 * One connection to a server; any number of calls go over it at once.
 *
 * When it closes, from whichever side, every call on it and every later one rejects with Unavailable "ttrpc: closed". ttrpc can't
 * tell a server that a call was canceled: the handler goes on, its answer is dropped.
 */
export class TtrpcConnection implements CallTransport, AsyncDisposable {
  /** Resolves when the connection has closed. */
  readonly closed: Promise<void>;
  readonly #link: ByteLink;
  readonly #calls = new Map<number, OpenCall>();
  readonly #hold: (change: number) => void;
  #nextId = 1;
  #end: HullError | undefined;

  constructor(link: ByteLink) {
    this.#link = link;
    this.#hold = throttle(link);
    const decoder = new FrameDecoder();
    this.closed = new Promise((resolve) => {
      link.start({
        data: (chunk) => decoder.push(chunk, (frame) => this.#receive(frame)),
        closed: (cause) => {
          this.#fail(cause);
          resolve();
        },
      });
    });
  }

  unary(ref: MethodRef, payload: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const id = this.#take();
      const settle = (): void => {
        this.#calls.delete(id);
        watch[Symbol.dispose]();
      };
      const fail = (error: HullError): void => {
        settle();
        reject(error);
      };
      let ended = false;
      let watch: Disposable = { [Symbol.dispose]: () => {} };
      watch = watchCall(ref, options, (error) => {
        ended = true;
        fail(error);
      });
      if (ended) return;
      this.#calls.set(id, {
        fail,
        response: (frame) => {
          settle();
          try {
            resolve(answerOf(frame));
          } catch (thrown) {
            reject(thrown);
          }
        },
        data: () => fail(internal(`"${ref.service}/${ref.method.name}" was answered with a stream of data`)),
      });
      try {
        this.#link.write(requestFrame(id, 0, ref, payload, options));
      } catch (thrown) {
        fail(HullError.from(thrown));
      }
    });
  }

  async *stream(ref: MethodRef, requests: AsyncIterable<Uint8Array>, options: CallOptions): AsyncIterable<Uint8Array> {
    const open = ref.method.requestStream;
    const payload = open ? new Uint8Array(0) : await only(ref, requests);
    const id = this.#take();
    const inbox = new Inbox(this.#hold);
    const sender = new RequestSender(this.#link, id, requests);
    using _watch = watchCall(ref, options, (error) => inbox.fail(error));
    this.#calls.set(id, inboxCall(inbox, ref));
    try {
      // Checked here as well: a call that has ended already must not reach the server.
      if (!inbox.ended) {
        const flags = open ? frameFlags.remoteOpen : frameFlags.remoteClosed;
        this.#link.write(requestFrame(id, flags, ref, payload, options));
        if (open) sender.run().catch((thrown: unknown) => inbox.fail(HullError.from(thrown)));
      }
      yield* inbox;
    } finally {
      this.#calls.delete(id);
      inbox.drop();
      if (open) sender.stop();
    }
  }

  /** Closes after what was sent has gone; calls that still wait reject. */
  close(): Promise<void> {
    this.#fail();
    this.#link.close();
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #take(): number {
    if (this.#end) throw this.#end;
    const id = this.#nextId;
    this.#nextId += 2;
    // The id has 32 bits on the wire and can't come twice. The last one that fits is the last call of a connection.
    if (this.#nextId > 0xffffffff) void this.close();
    return id;
  }

  #receive(frame: Frame): void {
    // A call that was canceled has no entry: what still comes for it is dropped here.
    const call = this.#calls.get(frame.streamId);
    if (call === undefined) return;
    if (frame.oversize !== undefined) {
      call.fail(
        resourceExhausted(`the answer has ${frame.oversize} bytes, more than the ${maximumPayload} that ttrpc allows`),
      );
    } else if (frame.type === frameTypes.response) {
      call.response(frame);
    } else if (frame.type === frameTypes.data) {
      call.data(frame);
    }
  }

  #fail(cause?: unknown): void {
    if (this.#end) return;
    this.#end = unavailable("ttrpc: closed", { cause });
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.fail(this.#end);
  }
}

/** Sends a stream of requests beside the answers that come. */
class RequestSender {
  readonly #link: ByteLink;
  readonly #id: number;
  readonly #requests: AsyncIterator<Uint8Array>;
  #done = false;

  constructor(link: ByteLink, id: number, requests: AsyncIterable<Uint8Array>) {
    this.#link = link;
    this.#id = id;
    this.#requests = requests[Symbol.asyncIterator]();
  }

  async run(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#requests.next();
      if (this.#done) return;
      if (done) return this.#close();
      if (!this.#link.write(encodeFrame(this.#id, frameTypes.data, 0, value))) await this.#link.drained();
    }
  }

  /** The call is over: tells the server that nothing follows, and the caller that nothing is asked for. */
  stop(): void {
    if (this.#done) return;
    this.#close();
    // Not awaited: it may be waiting for something that never comes.
    this.#requests.return?.()?.catch(() => {});
  }

  #close(): void {
    this.#done = true;
    const flags = frameFlags.remoteClosed | frameFlags.noData;
    this.#link.write(encodeFrame(this.#id, frameTypes.data, flags, new Uint8Array(0)));
  }
}

function inboxCall(inbox: Inbox, ref: MethodRef): OpenCall {
  return {
    fail: (error) => inbox.fail(error),
    response: (frame) => {
      try {
        const answer = answerOf(frame);
        if (!ref.method.responseStream) inbox.push(answer);
        inbox.end();
      } catch (thrown) {
        inbox.fail(HullError.from(thrown));
      }
    },
    data: ({ flags, payload }) => {
      if ((flags & frameFlags.noData) === 0) inbox.push(payload);
      if ((flags & frameFlags.remoteClosed) !== 0) inbox.end();
    },
  };
}

function requestFrame(
  id: number,
  flags: number,
  ref: MethodRef,
  payload: Uint8Array,
  { metadata = {}, timeoutMs }: CallOptions,
): Uint8Array {
  const request: Request = {
    service: ref.service,
    method: ref.method.name,
    payload,
    timeoutNano: timeoutMs === undefined ? 0n : BigInt(Math.max(1, Math.round(timeoutMs * 1e6))),
    metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  };
  return encodeFrame(id, frameTypes.request, flags, Request.encode(request).finish());
}

/** The message in a response frame. @throws the error that is there instead. */
function answerOf(frame: Frame): Uint8Array {
  let response: Response;
  try {
    response = Response.decode(frame.payload);
  } catch (cause) {
    throw internal("a ttrpc response can't be decoded", { cause });
  }
  const { status, payload } = response;
  if (status !== undefined && status.code !== 0) throw fromWireStatus(status);
  return payload;
}
