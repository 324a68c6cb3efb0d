import { codes, HullError } from "@hull/errors";
import { currentTraceparent, isTracing, type Span, span } from "@hull/trace";
import { type MethodRef, nameOf } from "./call.ts";
import { namespaceHeader, namespaceTtrpcHeader, traceparentHeader } from "./metadata.ts";
import type { CallContext, CallOptions } from "./rpc.ts";

/** The answering of a call as a span within the caller's; nothing but the work where nobody traces. */
export function answering<T>(ref: MethodRef, call: CallContext, work: () => T): T {
  if (!isTracing()) return work();
  const namespace = call.metadata(namespaceHeader) ?? call.metadata(namespaceTtrpcHeader) ?? "";
  const options = {
    kind: "server",
    traceparent: call.metadata(traceparentHeader),
    attributes: { ...attributesOf(ref), ...(namespace === "" ? {} : { "containerd.namespace": namespace }) },
  } as const;
  return span(nameOf(ref), options, (running) => noting(running, work));
}

/** The making of a call as a span; the callee is told of it. */
export function calling<T>(ref: MethodRef, options: CallOptions, work: (options: CallOptions) => T): T {
  if (!isTracing()) return work(options);
  return span(nameOf(ref), { kind: "client", attributes: attributesOf(ref) }, (running) => {
    const traceparent = currentTraceparent();
    const told: Record<string, string> = traceparent === undefined ? {} : { [traceparentHeader]: traceparent };
    return noting(running, () => work({ ...options, metadata: { ...options.metadata, ...told } }));
  });
}

/** Names are OpenTelemetry's: https://opentelemetry.io/docs/specs/semconv/rpc/ */
const attributesOf = ({ service, method }: MethodRef) => ({ "rpc.service": service, "rpc.method": method.name });

/** Writes down what a call that is answered once ended with. */
function noting<T>(running: Span | undefined, work: () => T): T {
  const result = work();
  if (!(result instanceof Promise)) return result;
  return result.then(
    (value: unknown) => {
      running?.set({ "rpc.grpc.status_code": 0 });
      return value;
    },
    (error: unknown) => {
      running?.set({ "rpc.grpc.status_code": codes[HullError.from(error).code].number });
      throw error;
    },
  ) as T;
}
