/** What every call into the engine takes first. There is no ambient state. */
export interface Context {
  /** The namespace the call works in. Checked by `requireNamespace` at the engine's edge. */
  readonly namespace: string;
  /** A lease that keeps what the call creates from the garbage collector. */
  readonly lease?: string;
  /** Aborted when the caller no longer wants the answer. */
  readonly signal: AbortSignal;
}

const never = new AbortController().signal;

/** A context for a namespace; without a signal it is never aborted. */
export function contextFor(namespace: string, options: { lease?: string; signal?: AbortSignal } = {}): Context {
  return { namespace, lease: options.lease, signal: options.signal ?? never };
}
