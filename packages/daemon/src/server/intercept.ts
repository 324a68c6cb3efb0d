import type { MethodRef } from "@hull/api/call";
import type { CallContext, ServiceDefinition, ServiceImplementation } from "@hull/api/rpc";
import { unimplemented } from "@hull/errors";
import type { Service } from "./service.ts";

/** Takes one request or a stream of them, gives a promise or a stream; `MethodRef` tells which. */
export type Handler = (request: unknown, call: CallContext) => unknown;

/**
 * What comes between a call and its handler, whatever the transport: counts it, refuses it, traces it. Asked once for every method;
 * giving `next` itself leaves a method as it is, at no cost for its calls.
 */
export type Interceptor = (method: MethodRef, next: Handler) => Handler;

/** The services with interceptors around every method, the first one outermost. Without interceptors: the services themselves. */
export function intercept(services: readonly Service[], interceptors: readonly Interceptor[]): readonly Service[] {
  if (interceptors.length === 0) return services;
  return services.map(({ definition, implementation }) => ({
    definition,
    implementation: wrap(definition, implementation as Readonly<Record<string, Handler | undefined>>, interceptors),
  }));
}

function wrap(
  definition: ServiceDefinition,
  handlers: Readonly<Record<string, Handler | undefined>>,
  interceptors: readonly Interceptor[],
): ServiceImplementation<ServiceDefinition> {
  const wrapped = Object.entries(definition.methods).map(([key, method]) => {
    // Looked up at the call: an implementation may be filled in later.
    const innermost: Handler = (request, call) => {
      const handler = handlers[key];
      if (handler === undefined) throw unimplemented(`method "${definition.fullName}/${method.name}" is not served`);
      return handler.call(handlers, request, call);
    };
    const ref = { service: definition.fullName, method };
    return [key, interceptors.reduceRight((next, around) => around(ref, next), innermost)] as const;
  });
  return Object.fromEntries(wrapped) as ServiceImplementation<ServiceDefinition>;
}

/** How a call went: what `watchOutcome` tells. `error` is what the handler threw. */
export interface Outcome {
  readonly error?: unknown;
  /** The caller left a stream before its end. */
  readonly left?: boolean;
}

/**
 * Runs a handler and tells how it ended, once: of a promise its settling, of a stream its end, its error or that the reader left it.
 * `onMessage` hears of every answer of a stream.
 */
export function watchOutcome(
  { method }: MethodRef,
  run: () => unknown,
  ended: (outcome: Outcome) => void,
  onMessage: () => void = () => {},
): unknown {
  let answer: unknown;
  try {
    answer = run();
  } catch (error) {
    ended({ error });
    throw error;
  }
  if (method.responseStream) return watchStream(answer as AsyncIterable<unknown>, ended, onMessage);
  return (answer as Promise<unknown>).then(
    (message) => {
      onMessage();
      ended({});
      return message;
    },
    (error: unknown) => {
      ended({ error });
      throw error;
    },
  );
}

async function* watchStream(
  answers: AsyncIterable<unknown>,
  ended: (outcome: Outcome) => void,
  onMessage: () => void,
): AsyncGenerator<unknown> {
  let outcome: Outcome = { left: true };
  try {
    for await (const message of answers) {
      onMessage();
      yield message;
    }
    outcome = {};
  } catch (error) {
    outcome = { error };
    throw error;
  } finally {
    ended(outcome);
  }
}
