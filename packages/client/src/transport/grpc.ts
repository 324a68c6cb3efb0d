import type { MethodRef } from "@hull/api/call";
import { type CallTransport, makeClient } from "@hull/api/caller";
import { pausingInbox } from "@hull/api/inbox";
import type { CallOptions, ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import { canceled, HullError, internal, invalidArgument, unavailable } from "@hull/errors";
import { Connection } from "@hull/http2";
import { type ByteLink, type LinkTarget, linkFactory } from "@hull/link";
import type { ClientConnection } from "../client.ts";
import { type CallEvents, GrpcCall } from "./grpc-call.ts";

/**
 * A connection to a gRPC server.
 *
 *   connectGrpc(address) ──► client(definition) … calls … ──► close()
 *
 * It keeps the program from ending while a call is under way, and not for its own sake.
 *
 * A call that finds the connection lost opens it anew; a call that was under way when it was lost rejects with Unavailable and is
 * not sent again, since it may have been carried out.
 */
export interface GrpcConnection extends ClientConnection, AsyncDisposable {
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
  const connection = new Http2GrpcConnection(address);
  await connection.open();
  return connection;
}

/** Bytes that one stream of answers may hold before it stops reading. */
const highWater = 1024 * 1024;
/** What the server may send ahead on a stream, bytes: a large read shouldn't wait for the round trip. */
const streamWindow = 4 * 1024 * 1024;

class Http2GrpcConnection implements GrpcConnection, CallTransport {
  readonly address: string;
  readonly #target: LinkTarget;
  #connection: Promise<Connection> | undefined;
  /** The same when it is there: most calls need not wait for it. */
  #open: Connection | undefined;
  #link: ByteLink | undefined;
  /** How many are under way. */
  #calls = 0;
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

  open(): Promise<Connection> {
    if (this.#closed) return Promise.reject(unavailable(`the connection to "${this.address}" has been closed`));
    if (this.#open !== undefined && !this.#open.isOpen) this.#forget(this.#open);
    this.#connection ??= this.#connect();
    return this.#connection;
  }

  async unary(ref: MethodRef, request: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    const connection = await this.open();
    return await new Promise((resolve, reject) => {
      let answer: Uint8Array | undefined;
      let extra = false;
      const call = new GrpcCall(connection, ref, options, {
        message: (message) => {
          extra = answer !== undefined;
          answer = message;
        },
        end: (error) => {
          this.#ended();
          if (error !== null) reject(error);
          else if (answer === undefined || extra)
            reject(internal(`"${ref.method.name}" was not answered with one message`));
          else resolve(answer);
        },
      });
      this.#begun();
      try {
        call.sendEnd(request);
      } catch (thrown) {
        call.cancel(HullError.from(thrown));
      }
    });
  }

  async *stream(ref: MethodRef, requests: AsyncIterable<Uint8Array>, options: CallOptions): AsyncIterable<Uint8Array> {
    const connection = await this.open();
    const answers = new Answers(() => this.#ended());
    const call = new GrpcCall(connection, ref, options, answers);
    this.#begun();
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

  #begun(): void {
    if (this.#calls++ === 0) this.#link?.keepAlive?.(true);
  }

  #ended(): void {
    if (--this.#calls === 0) this.#link?.keepAlive?.(false);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const connection = await this.#connection?.catch(() => undefined);
    connection?.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #connect(): Promise<Connection> {
    const { connect } = await linkFactory();
    try {
      const link = await connect(this.#target);
      const forget = (): void => this.#forget(connection);
      const connection = new Connection("client", link, { goaway: forget, closed: forget }, { streamWindow });
      this.#open = connection;
      this.#link = link;
      connection.start();
      link.keepAlive?.(this.#calls > 0);
      return connection;
    } catch (cause) {
      this.#connection = undefined;
      throw unavailable(`can't connect to "${this.address}": ${HullError.from(cause).message}`, { cause });
    }
  }

  /** The next call opens another. */
  #forget(connection: Connection): void {
    if (this.#open !== connection) return;
    this.#open = undefined;
    this.#connection = undefined;
  }
}

/** Answers on their way to the caller's loop; stops the call's stream while too much of it waits. */
class Answers implements CallEvents {
  call: GrpcCall | undefined;
  readonly #ended: () => void;

  constructor(ended: () => void) {
    this.#ended = ended;
  }

  readonly inbox = pausingInbox({ pause: () => this.call?.pause(), resume: () => this.call?.resume() }, highWater);

  message(message: Uint8Array): void {
    this.inbox.push(message);
  }

  end(error: HullError | null): void {
    this.#ended();
    if (error === null) this.inbox.end();
    else this.inbox.fail(error);
  }
}

async function sendAll(call: GrpcCall, source: AsyncIterator<Uint8Array>): Promise<void> {
  for (;;) {
    const { done, value } = await source.next();
    if (call.over) return;
    if (done) return call.sendEnd();
    await call.send(value);
  }
}

function targetOf(address: string): LinkTarget {
  const path = /^(?:unix:(?:\/\/)?)?(\/.+)$/.exec(address)?.[1];
  if (path !== undefined) return { path };
  const [, host, port] = /^(?:tcp:\/\/)?(\[[0-9a-fA-F:.]+\]|[^:/[\]]+):(\d{1,5})$/.exec(address) ?? [];
  if (host !== undefined && port !== undefined) return { host: host.replace(/[[\]]/g, ""), port: Number(port) };
  throw invalidArgument(`address "${address}" is neither a socket's absolute path (unix:///…) nor tcp://host:port`);
}
