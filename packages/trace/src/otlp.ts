import type { TraceSettings } from "./environment.ts";
import type { Attributes, AttributeValue } from "./index.ts";
import type { EndedSpan } from "./recorder.ts";

/** How long spans are gathered before they are sent, ms. */
const gatherMs = 1000;
/** So many are sent at once without waiting. */
const batch = 256;
/** Spans that may wait for a collector; the newer ones are dropped. */
const longestQueue = 2048;

/** OTLP's numbers of the kinds. */
const kinds: Readonly<Record<EndedSpan["kind"], number>> = { internal: 1, server: 2, client: 3 };

/**
 * Posts spans to a collector as JSON, in batches. Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
 *
 *   add … ──a moment later──► one post ──► … ──close──► what is left is sent
 *
 * A collector that can't be reached costs its spans, and is told of once.
 */
export class OtlpExporter {
  readonly #settings: TraceSettings;
  readonly #failed: (message: string) => void;
  #queue: EndedSpan[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> = Promise.resolve();
  #fails = false;

  constructor(settings: TraceSettings, failed: (message: string) => void) {
    this.#settings = settings;
    this.#failed = failed;
  }

  add(span: EndedSpan): void {
    if (this.#queue.length >= longestQueue) return;
    this.#queue.push(span);
    if (this.#queue.length === batch) this.#send();
    else if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.#send(), gatherMs);
      this.#timer.unref?.();
    }
  }

  /** Sends what is left; resolves when that has been tried. */
  async close(): Promise<void> {
    this.#send();
    await this.#sending;
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#queue.length === 0) return;
    const spans = this.#queue;
    this.#queue = [];
    this.#sending = this.#sending.then(() => this.#post(spans));
  }

  async #post(spans: readonly EndedSpan[]): Promise<void> {
    const { url, headers, timeoutMs, resource } = this.#settings;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(encodeSpans(resource, spans)),
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`it answered ${response.status}`);
      this.#fails = false;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.#fails) this.#failed(`spans can't be sent to "${url}": ${reason}`);
      this.#fails = true;
    }
  }
}

/** Spans as an `ExportTraceServiceRequest` in OTLP's JSON: ids as hexadecimal, 64-bit numbers as text. */
export function encodeSpans(resource: Attributes, spans: readonly EndedSpan[]): object {
  return {
    resourceSpans: [
      {
        resource: { attributes: encodeAttributes(resource) },
        scopeSpans: [{ scope: { name: "hull" }, spans: spans.map(encodeSpan) }],
      },
    ],
  };
}

const encodeSpan = ({ traceId, spanId, parentId, name, kind, start, end, attributes, error }: EndedSpan): object => ({
  traceId,
  spanId,
  ...(parentId === "" ? {} : { parentSpanId: parentId }),
  name,
  kind: kinds[kind],
  startTimeUnixNano: nanos(start),
  endTimeUnixNano: nanos(end),
  attributes: encodeAttributes(attributes),
  status: error === undefined ? {} : { code: 2, message: error },
});

const nanos = (ms: number): string => String(BigInt(Math.round(ms * 1000)) * 1000n);

const encodeAttributes = (attributes: Attributes): object[] =>
  Object.entries(attributes).map(([key, value]) => ({ key, value: encodeValue(value) }));

function encodeValue(value: AttributeValue): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
