import { canceled, type HullError } from "@hull/errors";
import { type MethodRef, watchCall } from "./call.ts";
import { type CallTransport, makeClient } from "./caller.ts";
import { type BoundMethod, bindService, unknownMethod } from "./handler.ts";
import type { CallContext, CallOptions, ServiceClient, ServiceDefinition, ServiceImplementation } from "./rpc.ts";

/**
 * A client of an implementation in the same process, without a socket.
 *
 * It behaves as one over a socket: messages cross as bytes, so that nothing is shared between the two sides; errors, cancellation and
 * deadlines are the same. `metadata` goes with every call. `connection` ends them, as a socket's end would.
 */
export function inMemoryClient<D extends ServiceDefinition>(
  definition: D,
  implementation: ServiceImplementation<D>,
  options: { metadata?: Readonly<Record<string, string>>; connection?: OpenCalls } = {},
): ServiceClient<D> {
  const { metadata, connection = new OpenCalls() } = options;
  return makeClient(definition, new MemoryTransport(bindService(definition, implementation), connection), metadata);
}

/** The calls that clients of one connection have under way. */
export class OpenCalls {
  readonly #calls = new Set<(error: HullError) => void>();
  #ended: HullError | undefined;

  /** Fails the calls under way, and all that follow. */
  end(error: HullError): void {
    this.#ended ??= error;
    for (const fail of this.#calls) fail(this.#ended);
    this.#calls.clear();
  }

  /** Adds a call, which is taken out when the result is disposed of. It fails at once if the connection has ended. */
  add(fail: (error: HullError) => void): Disposable {
    if (this.#ended === undefined) this.#calls.add(fail);
    else fail(this.#ended);
    return { [Symbol.dispose]: () => void this.#calls.delete(fail) };
  }
}

class MemoryTransport implements CallTransport {
  readonly #methods: ReadonlyMap<string, BoundMethod>;
  readonly #connection: OpenCalls;

  constructor(methods: ReadonlyMap<string, BoundMethod>, connection: OpenCalls) {
    this.#methods = methods;
    this.#connection = connection;
  }

  async unary(ref: MethodRef, request: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    using call = new MemoryCall(ref, options, this.#connection);
    return await call.race(() => this.#method(ref).unary(request, call));
  }

  async *stream(ref: MethodRef, requests: AsyncIterable<Uint8Array>, options: CallOptions): AsyncIterable<Uint8Array> {
    using call = new MemoryCall(ref, options, this.#connection);
    const answers = this.#method(ref).stream(requests, call)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await call.race(() => answers.next());
        if (done) return;
        yield value;
      }
    } finally {
      call.end();
      // Not awaited: a handler that is deep in its work must not hold up a caller that has left.
      answers.return?.().catch(() => {});
    }
  }

  #method(ref: MethodRef): BoundMethod {
    const method = this.#methods.get(ref.method.name);
    if (method === undefined) throw unknownMethod(ref.service, ref.method.name);
    return method;
  }
}

/** Both sides of one call: the handler's context, and the caller's end that overtakes the handler. */
class MemoryCall implements CallContext, Disposable {
  readonly #controller = new AbortController();
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #watch: Disposable;
  readonly #open: Disposable;
  #ended: HullError | undefined;
  #waiting: ((error: HullError) => void) | undefined;

  constructor(ref: MethodRef, options: CallOptions, connection: OpenCalls) {
    this.#metadata = options.metadata ?? {};
    const end = (error: HullError): void => {
      this.#ended ??= error;
      this.#waiting?.(this.#ended);
      this.#controller.abort(this.#ended);
    };
    this.#watch = watchCall(ref, options, end);
    this.#open = connection.add(end);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  metadata(key: string): string | undefined {
    return Object.hasOwn(this.#metadata, key) ? this.#metadata[key] : undefined;
  }

  /** Waits for the handler, but no longer than the caller wants to. One at a time. */
  race<T>(start: () => Promise<T>): Promise<T> {
    // Promise.race against one promise of the whole call would keep a reaction per message until the call ends.
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#waiting = reject;
      start().then(resolve, reject);
    });
  }

  /** Tells the handler that nobody listens any more. */
  end(): void {
    this.#controller.abort(canceled("the caller has left"));
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#open[Symbol.dispose]();
  }
}
