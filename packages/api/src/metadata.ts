/** Names of the metadata that containerd's clients and servers send with a call. Keys are lower case on every transport. */

/** gRPC: the namespace that a call is about. */
export const namespaceHeader = "containerd-namespace";

/** ttrpc: the same, between daemon and shims. */
export const namespaceTtrpcHeader = "containerd-namespace-ttrpc";

/** gRPC: id of the lease that what the call creates belongs to. */
export const leaseHeader = "containerd-lease";

/** Both: the trace that a call is part of (https://www.w3.org/TR/trace-context/). */
export const traceparentHeader = "traceparent";

/** gRPC, to hull: an event subscription wants what it missed, behind an event's number or from a time (RFC 3339) on. */
export const eventsSinceHeader = "hull-events-since";

/**
 * gRPC, to hull: what a transfer's messages have no field for, as a URL's query: `max-concurrent-downloads`, `metadata-only` of a pull;
 * `max-concurrent-uploads`, `foreign-layers` of a push.
 */
export const transferOptionsHeader = "hull-transfer-options";

/** What a caller in a namespace sends over gRPC. */
export function grpcMetadata(namespace: string, lease?: string): Record<string, string> {
  return lease === undefined
    ? { [namespaceHeader]: namespace }
    : { [namespaceHeader]: namespace, [leaseHeader]: lease };
}

/** What a caller in a namespace sends over ttrpc. */
export function ttrpcMetadata(namespace: string): Record<string, string> {
  return { [namespaceTtrpcHeader]: namespace };
}
