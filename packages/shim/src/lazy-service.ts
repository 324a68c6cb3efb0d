/**
 * Services whose messages and handlers the first call loads: bytes go through to them untouched. Most shims are never asked for some of
 * what they serve, and each holds the code that it has loaded for as long as it lives.
 */

import type { BoundMethod } from "@hull/api/handler";
import type { CallContext, MethodDefinition, ServiceDefinition, ServiceImplementation } from "@hull/api/rpc";
import { unimplemented } from "@hull/errors";
import type { TtrpcServer } from "@hull/ttrpc/server";

type Bytes = Uint8Array;

/** A message that is left as it is. */
const untouched = {
  encode: (message: Bytes) => ({ finish: () => message }),
  decode: (input: Bytes): Bytes => input,
  fromPartial: (message: Bytes): Bytes => message,
};

/** The names of a service and of its methods, as they are on the wire. */
export interface ServiceNames {
  readonly service: string;
  /** With one request and one response. */
  readonly unary: readonly string[];
  /** With streams both ways. */
  readonly streaming?: readonly string[];
}

/** Serves methods that `load` gives when the first of them is called. */
export function registerLazily(
  server: TtrpcServer,
  { service, unary, streaming = [] }: ServiceNames,
  load: () => Promise<ReadonlyMap<string, BoundMethod>>,
): void {
  let loading: Promise<ReadonlyMap<string, BoundMethod>> | undefined;
  const find = async (name: string): Promise<BoundMethod> => {
    loading ??= load();
    const method = (await loading).get(name);
    if (method === undefined) throw unimplemented(`method "${service}/${name}" is not served`);
    return method;
  };
  const methods: Record<string, MethodDefinition<Bytes, Bytes>> = {};
  const handlers: Record<string, unknown> = {};
  const add = (name: string, stream: boolean, handler: unknown): void => {
    const types = { requestType: untouched, responseType: untouched, requestStream: stream, responseStream: stream };
    methods[name] = { name, ...types, options: {} };
    handlers[name] = handler;
  };
  for (const name of unary) {
    add(name, false, async (request: Bytes, call: CallContext) => (await find(name)).unary(request, call));
  }
  for (const name of streaming) {
    add(name, true, async function* (requests: AsyncIterable<Bytes>, call: CallContext) {
      yield* (await find(name)).stream(requests, call);
    });
  }
  const definition: ServiceDefinition = { name: service, fullName: service, methods };
  server.register(definition, handlers as ServiceImplementation<ServiceDefinition>);
}
