import { connect as connectHttp2 } from "node:http2";
import { connect as connectSocket } from "node:net";
import type { MethodRef } from "@hull/api/call";
import { type CallTransport, makeClient } from "@hull/api/caller";
import { withWindowRepair } from "@hull/api/flow-control";
import { pausingInbox } from "@hull/api/inbox";
import type { CallOptions, ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import { canceled, HullError, internal, invalidArgument, unavailable } from "@hull/errors";
import { type CallEvents, type Channel, GrpcCall } from "./grpc-call.ts";

/**
 * A connection to a gRPC server.
 *
 *   connectGrpc(address) ──► client(definition) … calls … ──► close()
 *
 * A call that finds the connection lost opens it anew; a call that was under way when it was lost rejects with Unavailable and is
 * not sent again, since it may have been carried out.
 */
export interface GrpcConnection extends AsyncDisposable {
  /** What was connected to, for messages. */
  readonly address: string;
  /** A typed client of a service; `metadata` goes with every call. */
  client<D extends ServiceDefinition>(
    definition: D,
    options?: { metadata?: Readonly<Record<string, string>> },
  ): ServiceClient<D>;
  /** Ends what is under way and closes. Calls after that reject. */
  close(): Promise<void>;
}

/**
 * Connects to a server without TLS: a unix socket (`/run/containerd/containerd.sock`, `unix:///run/…`) or TCP (`tcp://host:port`,
 * `host:port`).
 *
 * @throws Unavailable, naming the address, if nobody answers there; InvalidArgument for an address of another form.
 */
export async function connectGrpc(address: string): Promise<GrpcConnection> {
  const connection = new Http2Connection(address);
  await connection.open();
  return connection;
}

/** Bytes that one stream of answers may hold before it stops reading. */
const highWater = 1024 * 1024;
/** What the server may send ahead. HTTP/2's own 64 KiB would make every large read wait for the round trip. */
const window = 4 * 1024 * 1024;

class Http2Connection implements GrpcConnection, CallTransport {
  readonly address: string;
  readonly #target: { path: string } | { host: string; port: number };
  #channel: Promise<Channel> | undefined;
  #closed = false;

  constructor(address: string) {
    this.address = address;
    this.#target = targetOf(address);
  }

  client<D extends ServiceDefinition>(
    definition: D,
    options: { metadata?: Readonly<Record<string, string>> } = {},
  ): ServiceClient<D> {
    return makeClient(definition, this, options.metadata);
  }

  open(): Promise<Channel> {
    if (this.#closed) return Promise.reject(unavailable(`the connection to "${this.address}" has been closed`));
    if (this.#channel === undefined) {
      const channel = this.#connect();
      this.#channel = channel;
      channel.catch(() => this.#forget(channel));
    }
    return this.#channel;
  }

  async unary(ref: MethodRef, request: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    const channel = await this.open();
    return await new Promise((resolve, reject) => {
      let answer: Uint8Array | undefined;
      let extra = false;
      const call = new GrpcCall(channel, ref, options, {
        message: (message) => {
          extra = answer !== undefined;
          answer = message;
        },
        end: (error) => {
          if (error !== null) reject(error);
          else if (answer === undefined || extra)
            reject(internal(`"${ref.method.name}" was not answered with one message`));
          else resolve(answer);
        },
      });
      try {
        call.sendEnd(request);
      } catch (thrown) {
        call.cancel(HullError.from(thrown));
      }
    });
  }

  async *stream(ref: MethodRef, requests: AsyncIterable<Uint8Array>, options: CallOptions): AsyncIterable<Uint8Array> {
    const channel = await this.open();
    const answers = new Answers();
    const call = new GrpcCall(channel, ref, options, answers);
    answers.call = call;
    const source = requests[Symbol.asyncIterator]();
    sendAll(call, source).catch((thrown: unknown) => call.cancel(HullError.from(thrown)));
    try {
      yield* answers.inbox;
    } finally {
      call.cancel(canceled("the caller has left"));
      // Not awaited: it may be waiting for something that never comes.
      source.return?.()?.catch(() => {});
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const { session } = (await this.#channel?.catch(() => undefined)) ?? {};
    if (session === undefined || session.destroyed) return;
    await new Promise<void>((resolve) => {
      session.once("close", resolve);
      session.destroy();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #forget(channel: Promise<Channel>): void {
    if (this.#channel === channel) this.#channel = undefined;
  }

  #connect(): Promise<Channel> {
    const opening = new Promise<Channel>((resolve, reject) => {
      const socket = connectSocket(this.#target);
      const session = connectHttp2("http://localhost", {
        createConnection: () => withWindowRepair(socket, "client"),
        settings: { enablePush: false, initialWindowSize: window },
        // Megabytes that may wait to be sent: two messages of the longest kind, where Node would refuse at 10.
        maxSessionMemory: 64,
      });
      session.on("error", (cause: Error) => {
        reject(unavailable(`can't connect to "${this.address}": ${cause.message}`, { cause }));
      });
      session.on("close", () => {
        reject(unavailable(`"${this.address}" closed the connection`));
        this.#forget(opening);
      });
      // The server is going away: what runs may finish, what is new needs a new connection.
      session.on("goaway", () => this.#forget(opening));
      session.once("connect", () => {
        session.setLocalWindowSize(2 * window);
        resolve({ session, isBroken: () => session.destroyed || socket.destroyed || socket.readableEnded });
      });
    });
    return opening;
  }
}

/** Answers on their way to the caller's loop; stops the call's stream while too much of it waits. */
class Answers implements CallEvents {
  call: GrpcCall | undefined;

  readonly inbox = pausingInbox({ pause: () => this.call?.pause(), resume: () => this.call?.resume() }, highWater);

  message(message: Uint8Array): void {
    this.inbox.push(message);
  }

  end(error: HullError | null): void {
    if (error === null) this.inbox.end();
    else this.inbox.fail(error);
  }
}

async function sendAll(call: GrpcCall, source: AsyncIterator<Uint8Array>): Promise<void> {
  for (;;) {
    const { done, value } = await source.next();
    if (call.ended) return;
    if (done) return call.sendEnd();
    await call.send(value);
  }
}

function targetOf(address: string): { path: string } | { host: string; port: number } {
  const path = /^(?:unix:(?:\/\/)?)?(\/.+)$/.exec(address)?.[1];
  if (path !== undefined) return { path };
  const [, host, port] = /^(?:tcp:\/\/)?(\[[0-9a-fA-F:.]+\]|[^:/[\]]+):(\d{1,5})$/.exec(address) ?? [];
  if (host !== undefined && port !== undefined) return { host: host.replace(/[[\]]/g, ""), port: Number(port) };
  throw invalidArgument(`address "${address}" is neither a socket's absolute path (unix:///…) nor tcp://host:port`);
}
