import type { Descriptor as WireDescriptor } from "@hull/api/gen/containerd/types/descriptor";
import type { Mount as WireMount } from "@hull/api/gen/containerd/types/mount";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { leaseHeader, namespaceHeader } from "@hull/api/metadata";
import type { CallContext } from "@hull/api/rpc";
import type { Context } from "@hull/engine/context";
import type { TypedBytes } from "@hull/engine/labels";
import { requireNamespace } from "@hull/engine/metadata/index";
import type { Mount } from "@hull/engine/mount/index";
import { invalidArgument } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";

/**
 * The engine's context of a call.
 * @throws FailedPrecondition if the call names no namespace; InvalidArgument if the namespace is malformed
 */
export function contextOf(call: CallContext): Context {
  const namespace = call.metadata(namespaceHeader) ?? "";
  requireNamespace({ namespace });
  // A getter: making a signal for each call would cost more than most calls do.
  return {
    namespace,
    lease: call.metadata(leaseHeader),
    get signal() {
      return call.signal;
    },
  };
}

/** A part of a request without which it means nothing. @throws InvalidArgument */
export function need<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw invalidArgument(`${what} is missing in the request`);
  return value;
}

export function toWireDescriptor({ mediaType, digest, size, annotations }: Descriptor): WireDescriptor {
  return { mediaType, digest, size: BigInt(size), annotations: { ...annotations } };
}

export function fromWireDescriptor({ mediaType, digest, size, annotations }: WireDescriptor): Descriptor {
  const plain = { mediaType, digest, size: toSafe(size, "size of the descriptor") };
  return Object.keys(annotations).length === 0 ? plain : { ...plain, annotations };
}

export function toWireMount({ type, source, target, options }: Mount): WireMount {
  return { type, source, target, options: [...options] };
}

export const fromWireMount = ({ type, source, target, options }: WireMount): Mount => ({
  type,
  source,
  target,
  options,
});

export const fromWireAny = (any: Any): TypedBytes => ({ typeUrl: any.typeUrl, value: any.value });

/** A 64-bit number of the wire as the engine counts. @throws InvalidArgument if it is beyond 2^53 */
export function toSafe(value: bigint, what: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw invalidArgument(`${what} ${value} is too large`);
  return number;
}
