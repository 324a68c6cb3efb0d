import { Request, Response } from "@hull/api/gen/ttrpc/request";
import { type BoundMethod, bindService, isUnary, unknownMethod } from "@hull/api/handler";
import { Inbox } from "@hull/api/inbox";
import type { CallContext, ServiceDefinition, ServiceImplementation } from "@hull/api/rpc";
import { toWireStatus } from "@hull/api/status";
import { canceled, deadlineExceeded, HullError, invalidArgument, resourceExhausted, unimplemented } from "@hull/errors";
import { type ByteLink, type LinkListener, type ListenTarget, linkFactory, type Peer } from "@hull/link";
import { encodeFrame, type Frame, FrameDecoder, frameFlags, frameTypes, maximumPayload } from "./frame.ts";
import { throttle } from "./throttle.ts";

const maximumMessage = 64 * 1024;

/** How a server takes connections. */
export interface ListenOptions {
  /** Whether to serve this peer, for example only one of the same user; a refused one is disconnected. */
  authorize?: (peer: Peer) => boolean;
}

/** Options of a server. */
export interface ServerOptions {
  /** Told when the last connection that was open has closed. */
  onAlone?: () => void;
  /** Told after each call that was answered, or given up. */
  onAnswer?: () => void;
}

/**
 * A ttrpc server.
 *
 *   register(…) ──► listen(…) or accept(link), as often as wanted ──► shutdown() (lets calls finish) or close() (ends them)
 */
export class TtrpcServer implements AsyncDisposable {
  readonly #services = new Map<string, ReadonlyMap<string, BoundMethod>>();
  readonly #connections = new Set<ServerConnection>();
  readonly #listeners: LinkListener[] = [];
  readonly #options: ServerOptions;
  #stopping = false;

  constructor(options: ServerOptions = {}) {
    this.#options = options;
  }

  /** Serves a service from now on; one that was registered under the same name is replaced. */
  register<D extends ServiceDefinition>(definition: D, implementation: ServiceImplementation<D>): this {
    this.#services.set(definition.fullName, bindService(definition, implementation));
    return this;
  }

  /**
   * Listens at a unix socket's path, which must be free (its mode and its removal are the caller's), or at a descriptor that
   * listens already. Resolves when it listens.
   */
  async listen(target: ListenTarget, { authorize }: ListenOptions = {}): Promise<void> {
    const { listen } = await linkFactory();
    const listener = await listen(target, (link, peer) => {
      if (this.#stopping || authorize?.(peer) === false) link.close();
      else this.accept(link);
    });
    this.#listeners.push(listener);
  }

  /** Serves one connection that was made elsewhere. */
  accept(link: ByteLink): void {
    const { onAlone, onAnswer } = this.#options;
    const onClosed = (): void => {
      this.#connections.delete(connection);
      if (this.#connections.size === 0) onAlone?.();
    };
    const connection = new ServerConnection(link, this.#services, { onClosed, onAnswer });
    this.#connections.add(connection);
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Takes no more connections or calls, waits until those that run have answered, then closes. */
  async shutdown(): Promise<void> {
    this.#stopListening();
    await Promise.all(Array.from(this.#connections, (connection) => connection.shutdown()));
  }

  /** Ends every call and closes every connection. */
  async close(): Promise<void> {
    this.#stopListening();
    await Promise.all(Array.from(this.#connections, (connection) => connection.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #stopListening(): void {
    this.#stopping = true;
    for (const listener of this.#listeners.splice(0)) listener.stop();
  }
}

class ServerConnection {
  readonly #link: ByteLink;
  readonly #services: ReadonlyMap<string, ReadonlyMap<string, BoundMethod>>;
  readonly #calls = new Map<number, ServerCall>();
  readonly #hold: (change: number) => void;
  readonly #onAnswer: (() => void) | undefined;
  readonly #closed: Promise<void>;
  #lastId = 0;
  #stopping = false;

  constructor(
    link: ByteLink,
    services: ReadonlyMap<string, ReadonlyMap<string, BoundMethod>>,
    { onClosed, onAnswer }: { onClosed: () => void; onAnswer: (() => void) | undefined },
  ) {
    this.#link = link;
    this.#services = services;
    this.#onAnswer = onAnswer;
    this.#hold = throttle(link);
    const decoder = new FrameDecoder();
    this.#closed = new Promise((resolve) => {
      link.start({
        data: (chunk) => decoder.push(chunk, (frame) => this.#receive(frame)),
        closed: () => {
          for (const call of this.#calls.values()) call.abort(canceled("the client's connection has closed"));
          this.#calls.clear();
          onClosed();
          resolve();
        },
      });
    });
  }

  shutdown(): Promise<void> {
    this.#stopping = true;
    this.#closeIfIdle();
    return this.#closed;
  }

  close(): Promise<void> {
    for (const call of this.#calls.values()) call.abort(canceled("the server is closing"));
    this.#link.close();
    return this.#closed;
  }

  #closeIfIdle(): void {
    if (this.#stopping && this.#calls.size === 0) this.#link.close();
  }

  #receive(frame: Frame): void {
    if (frame.type === frameTypes.request) this.#request(frame);
    else if (frame.type === frameTypes.data) this.#data(frame);
  }

  #request(frame: Frame): void {
    const { streamId } = frame;
    try {
      if (streamId % 2 !== 1) throw invalidArgument(`stream id ${streamId} is even; a client's are odd`);
      if (streamId <= this.#lastId)
        throw invalidArgument(`stream id ${streamId} is not above the last, ${this.#lastId}`);
      this.#lastId = streamId;
      if (frame.oversize !== undefined) throw tooLong(frame.oversize);
      if (this.#stopping) throw new HullError("unavailable", "ttrpc: server closed");
      this.#serve(frame, decodeRequest(frame.payload));
    } catch (thrown) {
      this.#respondError(streamId, thrown);
    }
  }

  #serve(frame: Frame, request: Request): void {
    const service = this.#services.get(request.service);
    if (service === undefined) throw unimplemented(`service "${request.service}" is unknown`);
    const method = service.get(request.method);
    if (method === undefined) throw unknownMethod(request.service, request.method);
    const call = new ServerCall(request);
    this.#calls.set(frame.streamId, call);
    const work = isUnary(method)
      ? this.#unary(frame.streamId, method, request.payload, call)
      : this.#stream(frame, method, request.payload, call);
    void work.then(() => this.#finish(frame.streamId, call));
  }

  #finish(streamId: number, call: ServerCall): void {
    call.finish();
    this.#calls.delete(streamId);
    this.#onAnswer?.();
    this.#closeIfIdle();
  }

  async #unary(streamId: number, method: BoundMethod, payload: Uint8Array, call: ServerCall): Promise<void> {
    try {
      this.#respond(streamId, await method.unary(payload, call));
    } catch (thrown) {
      this.#respondError(streamId, thrown);
    }
  }

  async #stream(frame: Frame, bound: BoundMethod, payload: Uint8Array, call: ServerCall): Promise<void> {
    const { streamId } = frame;
    const { requestStream, responseStream } = bound.method;
    const inbox = new Inbox(this.#hold);
    call.inbox = inbox;
    // With a stream of requests the request frame itself may bring the first.
    if (!requestStream || payload.length > 0) inbox.push(payload);
    if (!requestStream || (frame.flags & frameFlags.remoteClosed) !== 0) inbox.end();
    try {
      for await (const answer of bound.stream(inbox, call)) {
        if (!responseStream) this.#respond(streamId, answer);
        else if (!this.#link.write(encodeFrame(streamId, frameTypes.data, 0, answer))) await this.#link.drained();
      }
      if (responseStream) {
        const flags = frameFlags.remoteClosed | frameFlags.noData;
        this.#link.write(encodeFrame(streamId, frameTypes.data, flags, new Uint8Array(0)));
      }
    } catch (thrown) {
      this.#respondError(streamId, thrown);
    } finally {
      inbox.drop();
    }
  }

  #data({ streamId, flags, payload, oversize }: Frame): void {
    // Data for a call that has been answered is late, not wrong.
    const inbox = this.#calls.get(streamId)?.inbox;
    if (inbox === undefined) return;
    if (oversize !== undefined) inbox.fail(tooLong(oversize));
    else if ((flags & frameFlags.noData) === 0) inbox.push(payload);
    if ((flags & frameFlags.remoteClosed) !== 0) inbox.end();
  }

  #respond(streamId: number, payload: Uint8Array): void {
    const response = Response.encode({ status: undefined, payload }).finish();
    this.#link.write(encodeFrame(streamId, frameTypes.response, 0, response));
  }

  #respondError(streamId: number, thrown: unknown): void {
    const { code, message } = toWireStatus(thrown);
    // An error must always get through, however much its maker put into its text.
    const status = { code, message: message.slice(0, maximumMessage), details: [] };
    const response = Response.encode({ status, payload: new Uint8Array(0) }).finish();
    this.#link.write(encodeFrame(streamId, frameTypes.response, 0, response));
  }
}

/** A handler's view of its call. The signal is made when it is first asked for: most handlers never do. */
class ServerCall implements CallContext {
  inbox: Inbox | undefined;
  readonly #request: Request;
  #controller: AbortController | undefined;
  #aborted: HullError | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(request: Request) {
    this.#request = request;
    if (request.timeoutNano > 0n) {
      const milliseconds = Math.min(Number(request.timeoutNano / 1_000_000n), 2 ** 31 - 1);
      this.#timer = setTimeout(() => this.abort(deadlineExceeded("the caller's deadline has passed")), milliseconds);
    }
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  metadata(key: string): string | undefined {
    return this.#request.metadata.find((entry) => entry.key.toLowerCase() === key)?.value;
  }

  abort(reason: HullError): void {
    this.#aborted ??= reason;
    this.#controller?.abort(reason);
    this.inbox?.fail(reason);
    this.finish();
  }

  finish(): void {
    clearTimeout(this.#timer);
  }
}

function decodeRequest(payload: Uint8Array): Request {
  try {
    return Request.decode(payload);
  } catch (cause) {
    throw invalidArgument("the ttrpc request can't be decoded", { cause });
  }
}

function tooLong(length: number): HullError {
  return resourceExhausted(`a ttrpc message of ${length} bytes is longer than the ${maximumPayload} allowed`);
}
