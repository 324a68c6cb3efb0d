/** A place in a trace, as processes tell each other. Source: https://www.w3.org/TR/trace-context/#traceparent-header */
export interface TraceContext {
  /** 32 hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** 16 hexadecimal digits, not all 0. */
  readonly spanId: string;
  readonly sampled: boolean;
}

const pattern = /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Reads a header; undefined for one that isn't valid, which counts as none. */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
  const [whole = "", traceId, spanId, flags = "", more] = pattern.exec(header ?? "") ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  // Version 0 ends here; later ones may have more.
  if (whole.startsWith("00-") && more !== undefined) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export const formatTraceparent = ({ traceId, spanId, sampled }: TraceContext): string =>
  `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
