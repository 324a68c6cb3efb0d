import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import type { Sampler } from "./environment.ts";
import type { Attributes, AttributeValue, Recorder, Span, SpanOptions } from "./index.ts";
import { formatTraceparent, parseTraceparent, type TraceContext } from "./traceparent.ts";

/** A span that has ended. */
export interface EndedSpan extends TraceContext {
  readonly name: string;
  readonly kind: NonNullable<SpanOptions["kind"]>;
  /** Id of the span that it is within; empty for the first of a trace. */
  readonly parentId: string;
  /** ms since 1970, with fractions. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** What it failed with. */
  readonly error?: string;
}

class RunningSpan implements Span {
  readonly context: TraceContext;
  readonly attributes: Record<string, AttributeValue>;

  constructor(context: TraceContext, attributes: Attributes) {
    this.context = context;
    this.attributes = { ...attributes };
  }

  get traceparent(): string {
    return formatTraceparent(this.context);
  }

  set(attributes: Attributes): void {
    Object.assign(this.attributes, attributes);
  }
}

/** Records spans of this process, within each other as the work is, and gives those that the sampler takes to `ended`. */
export class SpanRecorder implements Recorder {
  readonly #running = new AsyncLocalStorage<RunningSpan>();
  readonly #sampler: Sampler;
  readonly #ended: (span: EndedSpan) => void;

  constructor(sampler: Sampler, ended: (span: EndedSpan) => void) {
    this.#sampler = sampler;
    this.#ended = ended;
  }

  get current(): Span | undefined {
    return this.#running.getStore();
  }

  run<T>(name: string, options: SpanOptions, work: (span: Span) => T): T {
    const { kind = "internal", attributes = {}, traceparent } = options;
    const parent = parseTraceparent(traceparent) ?? this.#running.getStore()?.context;
    const traceId = parent?.traceId ?? randomBytes(16).toString("hex");
    const spanId = randomBytes(8).toString("hex");
    const running = new RunningSpan({ traceId, spanId, sampled: this.#takes(traceId, parent) }, attributes);
    const start = now();
    const end = (error?: unknown): void => {
      if (!running.context.sampled) return;
      const failure = error === undefined ? {} : { error: error instanceof Error ? error.message : String(error) };
      const parentId = parent?.spanId ?? "";
      this.#ended({
        ...running.context,
        name,
        kind,
        parentId,
        start,
        end: now(),
        attributes: running.attributes,
        ...failure,
      });
    };
    try {
      const result = this.#running.run(running, () => work(running));
      if (!(result instanceof Promise)) {
        if (isAsyncIterable(result)) return this.#within(running, result, end) as T;
        end();
        return result;
      }
      return result.then(
        (value: unknown) => {
          end();
          return value;
        },
        (error: unknown) => {
          end(error);
          throw error;
        },
      ) as T;
    } catch (error) {
      end(error);
      throw error;
    }
  }

  /** A stream, each step of which runs within the span. */
  async *#within(
    running: RunningSpan,
    stream: AsyncIterable<unknown>,
    end: (error?: unknown) => void,
  ): AsyncGenerator<unknown> {
    const iterator = stream[Symbol.asyncIterator]();
    let failure: unknown;
    let isDone = false;
    try {
      for (;;) {
        const next = await this.#running.run(running, () => iterator.next());
        if (next.done === true) {
          isDone = true;
          return;
        }
        yield next.value;
      }
    } catch (error) {
      isDone = true;
      failure = error;
      throw error;
    } finally {
      if (!isDone) await this.#running.run(running, () => iterator.return?.());
      end(failure);
    }
  }

  #takes(traceId: string, parent: TraceContext | undefined): boolean {
    const { parentBased, ratio } = this.#sampler;
    if (parent !== undefined && parentBased) return parent.sampled;
    // The same of every process for a trace: by its id, whose last 8 digits are random.
    return Number.parseInt(traceId.slice(24), 16) / 2 ** 32 < ratio;
  }
}

const now = (): number => performance.timeOrigin + performance.now();

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.asyncIterator in value;
