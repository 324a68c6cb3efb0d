import { isCode } from "@hull/errors";
import { discard, type RegistryRequest, type Send } from "./request.ts";

/** How often and when a failed request is made again. Times in ms. */
export interface RetryPolicy {
  attempts: Readonly<Record<RegistryRequest["patience"], number>>;
  /** The first pause; each further one is twice as long, and each is varied by half. */
  pause: number;
  maxPause: number;
  /** The longest pause that a server may ask for; it is not waited for if it asks for more. */
  maxRetryAfter: number;
}

/** Three tries to begin with; amid a transfer long enough (about 10 s) for a registry to be restarted. */
export const defaultRetryPolicy: RetryPolicy = {
  attempts: { once: 1, quick: 3, patient: 8 },
  pause: 100,
  maxPause: 4000,
  maxRetryAfter: 60_000,
};

const passing: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/** Makes a request again after failures that pass: no answer, overload, a restart. The last response or error is given as it is. */
export function withRetry(send: Send, policy: RetryPolicy = defaultRetryPolicy): Send {
  return async (request) => {
    for (let attempt = 1; ; attempt++) {
      const last = attempt >= policy.attempts[request.patience];
      let pause = Math.min(policy.pause * 2 ** (attempt - 1), policy.maxPause) * (0.75 + Math.random() / 2);
      try {
        const response = await send(request);
        if (last || !passing.has(response.status)) return response;
        const asked = retryAfter(response.headers.get("retry-after"), Date.now());
        if (asked !== undefined && asked > policy.maxRetryAfter) return response;
        pause = Math.max(pause, asked ?? 0);
        await discard(response);
      } catch (error) {
        if (last || request.signal.aborted || !isCode(error, "unavailable")) throw error;
      }
      await wait(pause, request.signal);
    }
  };
}

/** The pause in ms that `Retry-After` asks for: seconds or a date (RFC 9110, section 10.2.3). Undefined if it says nothing. */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Waits, or throws the signal's reason as soon as it aborts. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}
