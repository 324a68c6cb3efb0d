/** A part of an image's config that is docker's own: how the health of its containers is checked. */

/**
 * How the health of a container is checked, as docker writes it (Docker image specification 1.2, "Healthcheck"); times in nanoseconds, 0: the
 * default.
 */
export interface HealthCheck {
  /** `["CMD", program, …]`, `["CMD-SHELL", line]`; `["NONE"]`: it isn't. */
  readonly Test: readonly string[];
  /** From the end of one check to the next; 30 s. */
  readonly Interval?: number;
  /** How long a check may take; 30 s. */
  readonly Timeout?: number;
  /** After its start, how long checks that fail count for nothing; 0. */
  readonly StartPeriod?: number;
  /** Between checks in that time; 5 s. */
  readonly StartInterval?: number;
  /** So many that fail, one after the other, make it unhealthy; 3. */
  readonly Retries?: number;
}

/** Reads one as JSON; undefined for what is none. */
export function parseHealthCheck(text: string): HealthCheck | undefined {
  try {
    return healthCheckOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Reads one out of a document. Fields of the wrong kind are left out; undefined for what is none. */
export function healthCheckOf(json: unknown): HealthCheck | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const { Test, ...others } = json as Record<string, unknown>;
  const numbers = ["Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"].flatMap((key) => {
    const value = others[key];
    return typeof value === "number" && Number.isFinite(value) ? [[key, value] as const] : [];
  });
  const test = Array.isArray(Test) ? Test.filter((word) => typeof word === "string") : [];
  return { Test: test, ...Object.fromEntries(numbers) };
}
