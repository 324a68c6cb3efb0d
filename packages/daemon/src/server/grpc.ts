import type { Socket } from "node:net";
import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import { type BoundMethod, bindService, isUnary } from "@hull/api/handler";
import type { CallContext } from "@hull/api/rpc";
import { toWireStatus } from "@hull/api/status";
import { canceled, unavailable } from "@hull/errors";
import type { Service } from "./service.ts";

export interface GrpcServerOptions {
  /** bytes */
  maxReceiveMessageSize?: number;
  maxSendMessageSize?: number;
}

/** What containerd allows, both ways. */
export const defaultMessageSize = 16 * 1024 * 1024;

/**
 * Serves services over gRPC on connections that somebody else accepts.
 *
 *   accept(socket) … ──close(ms)──► new calls refused, waiting ones ended, the others given `ms`
 */
export class GrpcServer {
  readonly #server: Server;
  readonly #injector: ReturnType<Server["createConnectionInjector"]>;
  /** Of the running calls that listen for their end: streams, waits, long work. */
  readonly #running = new Set<AbortController>();

  constructor(services: Iterable<Service>, options: GrpcServerOptions = {}) {
    this.#server = new Server({
      "grpc.max_receive_message_length": options.maxReceiveMessageSize ?? defaultMessageSize,
      "grpc.max_send_message_length": options.maxSendMessageSize ?? defaultMessageSize,
      // A client may have as many calls open as it likes (a wait and an event stream per container).
      "grpc.max_concurrent_streams": 2 ** 31 - 1,
      "grpc.enable_channelz": 0,
      // One stream may be a writer of blobs, in messages of 8 MiB.
      "grpc-node.max_session_memory": Number.MAX_SAFE_INTEGER,
      "grpc-node.flow_control_window": 4 * 1024 * 1024,
    });
    const known = new Set<string>();
    for (const { definition, implementation } of services) {
      known.add(definition.fullName);
      for (const method of bindService(definition, implementation).values()) this.#register(method);
    }
    answerUnknown(this.#server, known);
    allowResets(this.#server);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  accept(socket: Socket): void {
    this.#injector.injectConnection(socket);
  }

  /** Ends what waits (events, exits); lets other calls run for `graceMs`, then drops them. */
  async close(graceMs: number): Promise<void> {
    for (const controller of this.#running) controller.abort(unavailable("the daemon is stopping"));
    this.#injector.drain(graceMs);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => this.#server.forceShutdown(), graceMs);
    this.#server.tryShutdown(() => resolve());
    await promise;
    clearTimeout(timer);
    this.#injector.destroy();
  }

  #register(method: BoundMethod): void {
    const path = `/${method.service}/${method.method.name}`;
    const contextOf: ContextOf = (call) => new GrpcCall(call, this.#running);
    if (isUnary(method)) this.#server.register(path, unaryHandler(method, contextOf), serialize, deserialize, "unary");
    else if (method.method.requestStream)
      this.#server.register(path, duplexHandler(method, contextOf), serialize, deserialize, "bidi");
    else this.#server.register(path, serverStreamHandler(method, contextOf), serialize, deserialize, "serverStream");
  }
}

type ContextOf = (call: AnyCall) => CallContext;

type Bytes = Uint8Array;

const serialize = (bytes: Bytes): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const deserialize = (bytes: Buffer): Bytes => bytes;

/** What grpc-js's four kinds of call have in common. */
interface AnyCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  once(event: "cancelled", listener: () => void): unknown;
}

class GrpcCall implements CallContext {
  readonly #call: AnyCall;
  readonly #running: Set<AbortController>;
  #signal: AbortSignal | undefined;

  constructor(call: AnyCall, running: Set<AbortController>) {
    this.#call = call;
    this.#running = running;
  }

  metadata(key: string): string | undefined {
    const value = this.#call.metadata.get(key)[0];
    return typeof value === "string" ? value : undefined;
  }

  // Made on demand: most calls are over before anybody asks.
  get signal(): AbortSignal {
    if (this.#signal !== undefined) return this.#signal;
    const controller = new AbortController();
    this.#signal = controller.signal;
    // grpc-js says "cancelled" at every call's end.
    const abort = (): void => {
      this.#running.delete(controller);
      controller.abort(canceled("the caller ended the call"));
    };
    if (this.#call.cancelled) abort();
    else {
      this.#running.add(controller);
      this.#call.once("cancelled", abort);
    }
    return this.#signal;
  }
}

const unaryHandler =
  (method: BoundMethod, contextOf: ContextOf): handleUnaryCall<Bytes, Bytes> =>
  (call, callback) => {
    method.unary(call.request, contextOf(call)).then(
      (response) => callback(null, response),
      (thrown: unknown) => callback(statusOf(thrown)),
    );
  };

const serverStreamHandler =
  (method: BoundMethod, contextOf: ContextOf) =>
  (call: ServerWritableStream<Bytes, Bytes>): void => {
    void answer(method, call, one(call.request), contextOf(call));
  };

const duplexHandler =
  (method: BoundMethod, contextOf: ContextOf): handleBidiStreamingCall<Bytes, Bytes> =>
  (call) => {
    void answer(method, call, requestsOf(call), contextOf(call));
  };

async function* one(message: Bytes): AsyncIterable<Bytes> {
  yield message;
}

/** The requests of a call; fails if the caller cancels. Leaving it early leaves the call open for its answers. */
async function* requestsOf(call: ServerDuplexStream<Bytes, Bytes>): AsyncIterable<Bytes> {
  try {
    for await (const message of call.iterator({ destroyOnReturn: false })) yield message as Bytes;
  } catch (error) {
    if (!call.cancelled) throw error;
  }
  if (call.cancelled) throw canceled("the caller ended the call");
}

async function answer(
  method: BoundMethod,
  call: ServerWritableStream<Bytes, Bytes> | ServerDuplexStream<Bytes, Bytes>,
  requests: AsyncIterable<Bytes>,
  context: CallContext,
): Promise<void> {
  try {
    let sent = 0;
    for await (const message of method.stream(requests, context)) {
      if (call.cancelled) break;
      if (!call.write(message)) await writable(call);
      // An answer that is in memory as a whole would be written without the loop ever seeing that the caller has left.
      if (++sent % messagesPerTurn === 0) await turn();
    }
    call.end();
  } catch (thrown) {
    if (!call.cancelled) call.emit("error", statusOf(thrown));
  }
}

/** Messages of one answer that may follow each other before other events have their turn. */
const messagesPerTurn = 64;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Until the call takes more, or is cancelled. */
function writable(call: AnyCall & NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("drain", done);
      call.off("cancelled", done);
      resolve();
    };
    call.once("drain", done);
    call.once("cancelled", done);
  });
}

/** A thrown error as grpc-js wants it. */
function statusOf(thrown: unknown): Error & { code: number; details: string; metadata: Metadata } {
  const { code, message } = toWireStatus(thrown);
  // A header can't carry half of a surrogate pair.
  return Object.assign(new Error(message), { code, details: message.toWellFormed(), metadata: new Metadata() });
}

/**
 * Lets a client end as many calls early as it likes. HTTP/2 servers close the connection of one that resets more than 1000 streams
 * (CVE-2023-44487), which `ctr content get` does: it reads a blob in pieces of 32 KiB, each a call that it leaves. Whoever reaches the
 * socket is root or as good as. grpc-js passes these options on, but has none of its own for them.
 */
function allowResets(server: Server): void {
  const options: unknown = Reflect.get(server, "commonServerOptions");
  if (typeof options !== "object" || options === null) return;
  Object.assign(options, { streamResetBurst: Number.MAX_SAFE_INTEGER, streamResetRate: Number.MAX_SAFE_INTEGER });
}

/**
 * Lets calls of methods that nobody registered end as containerd's server ends them. grpc-js has no hook for that: where its table of
 * handlers isn't what it was in 1.14, its own text stands.
 */
function answerUnknown(server: Server, services: ReadonlySet<string>): void {
  const handlers: unknown = Reflect.get(server, "handlers");
  if (!(handlers instanceof Map)) return;
  const registered = handlers.get.bind(handlers);
  handlers.get = (path: string) => registered(path) ?? unknownHandler(path, services);
}

function unknownHandler(path: string, services: ReadonlySet<string>): object {
  const [, name = "", method = ""] = path.split("/");
  const details = services.has(name) ? `unknown method ${method} for service ${name}` : `unknown service ${name}`;
  const func: handleUnaryCall<Bytes, Bytes> = (_, callback) => callback({ code: 12, details });
  return { func, serialize, deserialize, type: "unary", path };
}
