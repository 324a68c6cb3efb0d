import { deadlineExceeded, HullError } from "@hull/errors";
import type { CallOptions, MethodDefinition } from "./rpc.ts";

/** A method and the service that it belongs to. */
export interface MethodRef {
  /** Full name of the service. */
  readonly service: string;
  readonly method: MethodDefinition;
}

/** `containerd.services.images.v1.Images/Get`, as messages name a method. */
export function nameOf({ service, method }: MethodRef): string {
  return `${service}/${method.name}`;
}

/** The error of a call whose caller aborted it: canceled, or deadlineExceeded if the signal's reason is a timeout. */
export function abortError(ref: MethodRef, signal: AbortSignal): HullError {
  const { reason } = signal;
  if (reason instanceof HullError) return reason;
  const timedOut = reason instanceof Error && reason.name === "TimeoutError";
  return timedOut
    ? deadlineExceeded(`call of "${nameOf(ref)}" took too long`, { cause: reason })
    : new HullError("canceled", `call of "${nameOf(ref)}" was canceled`, { cause: reason });
}

/**
 * Watches for the end that a caller sets to its call: its signal, its deadline. `onEnd` is called at most once, with `canceled` or
 * `deadlineExceeded`; right away if the signal has been aborted already. Disposing stops the watch.
 */
export function watchCall(ref: MethodRef, options: CallOptions, onEnd: (error: HullError) => void): Disposable {
  const { signal, timeoutMs } = options;
  // Most calls have neither, and must not pay for the watch.
  if (signal === undefined && timeoutMs === undefined) return nothingToWatch;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
  const onAbort = (): void => {
    stop();
    if (signal !== undefined) onEnd(abortError(ref, signal));
  };
  if (signal?.aborted) {
    onEnd(abortError(ref, signal));
    return nothingToWatch;
  }
  signal?.addEventListener("abort", onAbort, { once: true });
  if (timeoutMs !== undefined) {
    timer = setTimeout(
      () => {
        stop();
        onEnd(deadlineExceeded(`call of "${nameOf(ref)}" took longer than ${timeoutMs} ms`));
      },
      // Beyond this a timer of the runtime fires at once; nobody waits 24 days for a call.
      Math.min(timeoutMs, 2 ** 31 - 1),
    );
  }
  return { [Symbol.dispose]: stop };
}

const nothingToWatch: Disposable = { [Symbol.dispose]: () => {} };
