import { HullError, unimplemented } from "@hull/errors";
import type { MethodRef } from "./call.ts";
import { decodeMessage, encodeMessage, mapStream, once, only } from "./caller.ts";
import { encodeParts } from "./parts.ts";
import type { CallContext, ServiceDefinition, ServiceImplementation } from "./rpc.ts";
import { answering } from "./spans.ts";

/** A method that a server serves, with encoded messages on both sides: what a transport needs to know of an implementation. */
export interface BoundMethod extends MethodRef {
  /** Only for methods with one request and one response. */
  unary(request: Uint8Array, call: CallContext): Promise<Uint8Array>;
  /** For every method; where it takes one request, `requests` must give exactly one. */
  stream(requests: AsyncIterable<Uint8Array>, call: CallContext): AsyncIterable<Uint8Array>;
  /** As `stream`, with each message in parts, the large ones being the handler's own bytes: for who writes them somewhere anyway. */
  streamParts(requests: AsyncIterable<Uint8Array>, call: CallContext): AsyncIterable<readonly Uint8Array[]>;
}

type Handler = (request: unknown, call: CallContext) => unknown;

/**
 * Every method of a service by its name on the wire (`Get`), bound to its handler. A method without a handler is bound to one that
 * throws Unimplemented. What a handler throws comes out as HullError.
 */
export function bindService<D extends ServiceDefinition>(
  definition: D,
  implementation: ServiceImplementation<D>,
): ReadonlyMap<string, BoundMethod> {
  const handlers = implementation as Record<string, Handler | undefined>;
  const bound = new Map<string, BoundMethod>();
  for (const [key, method] of Object.entries(definition.methods)) {
    // Looked up at the call, on the object itself: an implementation may be a class or be filled in later.
    const handle: Handler = (request, call) => {
      const handler = handlers[key];
      if (handler === undefined) throw unimplemented(`method "${definition.fullName}/${method.name}" is not served`);
      return handler.call(implementation, request, call);
    };
    bound.set(method.name, bind({ service: definition.fullName, method }, handle));
  }
  return bound;
}

/** The Unimplemented error for a method that no service has. */
export function unknownMethod(service: string, method: string): HullError {
  return unimplemented(`method "${service}/${method}" is unknown`);
}

function bind(ref: MethodRef, handle: Handler): BoundMethod {
  const { requestType, responseType, requestStream, responseStream } = ref.method;
  const decode = (bytes: Uint8Array): unknown => decodeMessage(ref, requestType, bytes);
  const encode = (message: unknown): Uint8Array => encodeMessage(responseType, message);
  async function* stream<T>(
    requests: AsyncIterable<Uint8Array>,
    call: CallContext,
    encodeAnswer: (message: unknown) => T,
  ): AsyncIterable<T> {
    try {
      const request = requestStream ? mapStream(requests, decode) : decode(await only(ref, requests));
      const answer = handle(request, call);
      const answers = responseStream ? (answer as AsyncIterable<unknown>) : once(await answer);
      for await (const message of answers) yield encodeAnswer(message);
    } catch (thrown) {
      throw HullError.from(thrown);
    }
  }
  return {
    ...ref,
    async unary(request, call) {
      try {
        return encode(await answering(ref, call, () => handle(decode(request), call)));
      } catch (thrown) {
        throw HullError.from(thrown);
      }
    },
    stream: (requests, call) => stream(requests, call, encode),
    streamParts: (requests, call) => stream(requests, call, (message) => encodeParts(responseType, message)),
  };
}

/** True for a method with one request and one response. */
export function isUnary({ method }: MethodRef): boolean {
  return !method.requestStream && !method.responseStream;
}
