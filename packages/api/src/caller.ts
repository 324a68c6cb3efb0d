import { internal } from "@hull/errors";
import { type MethodRef, nameOf } from "./call.ts";
import type { CallOptions, MessageCodec, MethodDefinition, ServiceClient, ServiceDefinition } from "./rpc.ts";
import { calling } from "./spans.ts";
import { bytesOf } from "./steps.ts";
import { Writer } from "./writer.ts";

/**
 * What a transport does for a client: it carries encoded messages. Both reject with HullError.
 *
 * The bytes given to a transport are its own; the bytes that it gives back are never written to again, since decoded messages
 * point into them.
 */
export interface CallTransport {
  /** A call with one request and one response. */
  unary(ref: MethodRef, request: Uint8Array, options: CallOptions): Promise<Uint8Array>;
  /**
   * Any other call. Where the method takes one request, `requests` gives one; where it gives one response, more or fewer are
   * the caller's error. Nothing is sent before the first `next()`; `return()` cancels the call.
   */
  stream(ref: MethodRef, requests: AsyncIterable<Uint8Array>, options: CallOptions): AsyncIterable<Uint8Array>;
}

/** A typed client of a service over any transport. `metadata` goes with every call, below the call's own. */
export function makeClient<D extends ServiceDefinition>(
  definition: D,
  transport: CallTransport,
  metadata: Readonly<Record<string, string>> = {},
): ServiceClient<D> {
  const client: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(definition.methods)) {
    client[name] = caller({ service: definition.fullName, method }, transport, metadata);
  }
  return client as ServiceClient<D>;
}

type Caller = (request: unknown, options?: CallOptions) => unknown;

function caller(ref: MethodRef, transport: CallTransport, defaults: Readonly<Record<string, string>>): Caller {
  const { requestType, responseType, requestStream, responseStream } = ref.method;
  const merge = (options: CallOptions = {}): CallOptions => ({
    ...options,
    metadata: options.metadata === undefined ? defaults : { ...defaults, ...options.metadata },
  });
  if (!requestStream && !responseStream) {
    return async (request, options) =>
      decodeMessage(
        ref,
        responseType,
        await calling(ref, merge(options), (told) => transport.unary(ref, encodeMessage(requestType, request), told)),
      );
  }
  const responses = (request: unknown, options?: CallOptions): AsyncIterable<Uint8Array> => {
    const encoded = requestStream
      ? mapStream(request as AsyncIterable<unknown>, (message) => encodeMessage(requestType, message))
      : once(encodeMessage(requestType, request));
    return calling(ref, merge(options), (told) => transport.stream(ref, encoded, told));
  };
  if (responseStream) {
    return (request, options) =>
      mapStream(responses(request, options), (bytes) => decodeMessage(ref, responseType, bytes));
  }
  return async (request, options) => decodeMessage(ref, responseType, await only(ref, responses(request, options)));
}

/** Bytes of a message that may leave fields out. */
export function encodeMessage(codec: MethodDefinition["requestType"], message: unknown): Uint8Array {
  return bytesOf(message) ?? codec.encode(codec.fromPartial(message as never), new Writer()).finish();
}

/**
 * The message of these bytes; it points into them.
 *
 * @throws Internal if they are not of this type.
 */
export function decodeMessage<T>(ref: MethodRef, codec: MessageCodec<T>, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (cause) {
    throw internal(`a message of "${nameOf(ref)}" can't be decoded`, { cause });
  }
}

/** The one message of a stream. @throws Internal if there is none or a second one. */
export async function only(ref: MethodRef, messages: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  let first: Uint8Array | undefined;
  for await (const message of messages) {
    if (first !== undefined) throw internal(`"${nameOf(ref)}" was given more than one message where it takes one`);
    first = message;
  }
  if (first === undefined) throw internal(`"${nameOf(ref)}" ended without a message`);
  return first;
}

/** A stream of one message. */
export async function* once<T>(message: T): AsyncIterable<T> {
  yield message;
}

/** A stream with each element changed; leaving it early leaves the source. */
export async function* mapStream<A, B>(source: AsyncIterable<A>, change: (element: A) => B): AsyncIterable<B> {
  for await (const element of source) yield change(element);
}
