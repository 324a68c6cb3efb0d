/**
 * Spans: what a piece of work was, how long it took, and within which other it was done, over the borders of processes.
 *
 *   span(name, options, work) ──► work runs; its spans are within this one ──► the recorder gets it when it has ended
 *
 * Without a recorder (`recorder.ts`, installed where tracing is configured) a span is a call of its work and nothing else. A caller in
 * another process is known by its `traceparent` (`traceparent.ts`); `otlp.ts` sends spans to a collector, `environment.ts` reads where.
 */
export type AttributeValue = string | number | boolean;
export type Attributes = Readonly<Record<string, AttributeValue>>;

export interface SpanOptions {
  /** `server` answers a call, `client` makes one. */
  readonly kind?: "internal" | "server" | "client";
  readonly attributes?: Attributes;
  /** What the caller in another process said; without it the span is within the one that is running here. */
  readonly traceparent?: string;
}

/** A span that runs, as its own work sees it. */
export interface Span {
  /** What callees in other processes are told. */
  readonly traceparent: string;
  set(attributes: Attributes): void;
}

/** What takes spans. */
export interface Recorder {
  run<T>(name: string, options: SpanOptions, work: (span: Span) => T): T;
  /** The span that is running now. */
  readonly current: Span | undefined;
}

let recorder: Recorder | undefined;

/** Gives spans to a recorder from now on, or to nobody. One for the process: work and its callees may be in any module. */
export function installRecorder(installed: Recorder | undefined): void {
  recorder = installed;
}

/** True if anybody takes spans. */
export function isTracing(): boolean {
  return recorder !== undefined;
}

/**
 * Does work as a span, which ends when the promise that it gives has settled; an error is noted and thrown on. `work` gets no span while
 * nobody records.
 */
export function span<T>(name: string, options: SpanOptions, work: (span?: Span) => T): T {
  return recorder === undefined ? work() : recorder.run(name, options, work);
}

/** What to tell a callee in another process of the span that is running; undefined without one. */
export function currentTraceparent(): string | undefined {
  return recorder?.current?.traceparent;
}
