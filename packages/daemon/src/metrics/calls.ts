import type { MethodRef } from "@hull/api/call";
import { type Code, codes, HullError } from "@hull/errors";
import { type Handler, type Interceptor, type Outcome, watchOutcome } from "../server/intercept.ts";
import type { Metric, Sample } from "./exposition.ts";
import { Histogram } from "./histogram.ts";
import type { MetricSource } from "./index.ts";

/** gRPC's names of the codes as Go spells them; without an error it is `OK`. */
const codeNames: readonly (readonly [Code | "ok", string])[] = [
  ["ok", "OK"],
  ...(Object.keys(codes) as Code[]).map((code) => [code, code.charAt(0).toUpperCase() + code.slice(1)] as const),
];

/** What is counted of one method. */
interface MethodCounts {
  readonly labels: Readonly<Record<"grpc_type" | "grpc_service" | "grpc_method", string>>;
  started: number;
  received: number;
  sent: number;
  readonly handled: Map<Code | "ok", number>;
  readonly seconds: Histogram | undefined;
}

/**
 * Counts gRPC calls as go-grpc-prometheus does: every method is there from the start, with zeros. Names and labels:
 * https://github.com/grpc-ecosystem/go-grpc-prometheus#metrics
 */
export class CallMetrics implements MetricSource {
  readonly #methods: MethodCounts[] = [];
  readonly #histogram: boolean;

  /** `histogram`: how long calls took is kept too, which makes fourteen more lines a method. */
  constructor({ histogram }: { histogram: boolean }) {
    this.#histogram = histogram;
  }

  readonly interceptor: Interceptor = (ref, next) => {
    const counts = this.#add(ref);
    return (request, call) => {
      const begin = performance.now();
      counts.started++;
      const seen = ref.method.requestStream ? counted(request as AsyncIterable<unknown>, counts) : request;
      if (!ref.method.requestStream) counts.received++;
      const ended = (outcome: Outcome): void => {
        const code = codeOf(outcome);
        counts.handled.set(code, (counts.handled.get(code) ?? 0) + 1);
        counts.seconds?.observe((performance.now() - begin) / 1000);
      };
      const sent = (): void => {
        counts.sent++;
      };
      return watchOutcome(ref, () => (next as Handler)(seen, call), ended, sent);
    };
  };

  collect(): Metric[] {
    const counter = (name: string, help: string, samples: readonly Sample[]): Metric => ({
      name,
      help,
      type: "counter",
      samples,
    });
    const each = (value: (counts: MethodCounts) => number): Sample[] =>
      this.#methods.map((counts) => ({ labels: counts.labels, value: value(counts) }));
    const handled = this.#methods.flatMap(({ labels, handled: byCode }) =>
      codeNames.map(([code, name]) => ({ labels: { ...labels, grpc_code: name }, value: byCode.get(code) ?? 0 })),
    );
    return [
      counter(
        "grpc_server_started_total",
        "Total number of RPCs started on the server.",
        each(({ started }) => started),
      ),
      counter(
        "grpc_server_handled_total",
        "Total number of RPCs completed on the server, regardless of success or failure.",
        handled,
      ),
      counter(
        "grpc_server_msg_received_total",
        "Total number of RPC stream messages received on the server.",
        each(({ received }) => received),
      ),
      counter(
        "grpc_server_msg_sent_total",
        "Total number of gRPC stream messages sent by the server.",
        each(({ sent }) => sent),
      ),
      {
        name: "grpc_server_handling_seconds",
        help: "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
        type: "histogram",
        samples: this.#methods.flatMap(({ labels, seconds }) => seconds?.samples(labels) ?? []),
      },
    ];
  }

  #add({ service, method }: MethodRef): MethodCounts {
    const counts: MethodCounts = {
      labels: { grpc_type: typeOf(method), grpc_service: service, grpc_method: method.name },
      started: 0,
      received: 0,
      sent: 0,
      handled: new Map(),
      seconds: this.#histogram ? new Histogram() : undefined,
    };
    this.#methods.push(counts);
    return counts;
  }
}

function codeOf({ error, left }: Outcome): Code | "ok" {
  if (left === true) return "canceled";
  return error === undefined ? "ok" : HullError.from(error).code;
}

function typeOf({ requestStream, responseStream }: MethodRef["method"]): string {
  if (requestStream) return responseStream ? "bidi_stream" : "client_stream";
  return responseStream ? "server_stream" : "unary";
}

async function* counted(requests: AsyncIterable<unknown>, counts: MethodCounts): AsyncGenerator<unknown> {
  for await (const request of requests) {
    counts.received++;
    yield request;
  }
}
