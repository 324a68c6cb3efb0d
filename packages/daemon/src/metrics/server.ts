import type { Logger } from "@hull/engine/log";
import { HullError, unavailable } from "@hull/errors";
import { parseTcpAddress } from "../server/tcp-address.ts";
import { expositionType, type Metric, writeMetrics } from "./exposition.ts";
import type { MetricSource } from "./index.ts";

/**
 * Serves the sources' metrics at `/v1/metrics` of a TCP address, as containerd does, until disposed of.
 * @throws InvalidArgument unless `address` is `host:port`; Unavailable if the port can't be had
 */
export function serveMetrics(
  address: string,
  sources: readonly MetricSource[],
  log: Logger,
): { port: number } & Disposable {
  const { hostname, port } = parseTcpAddress(address, "metrics");
  const scrapes = new Scrapes();
  const all = [...sources, scrapes];
  try {
    const server = Bun.serve({
      hostname,
      port,
      fetch: async (request) => {
        if (new URL(request.url).pathname !== "/v1/metrics")
          return new Response("404 page not found\n", { status: 404 });
        if (request.method !== "GET" && request.method !== "HEAD") return new Response(null, { status: 405 });
        return await scrapes.count(async () => {
          const text = writeMetrics(await collectAll(all, log));
          return new Response(text, { headers: { "content-type": expositionType } });
        });
      },
    });
    return { port: server.port ?? port, [Symbol.dispose]: () => void server.stop(true) };
  } catch (cause) {
    const { message } = HullError.from(cause);
    throw unavailable(`metrics can't be served on "${address}": ${message}`, { cause });
  }
}

async function collectAll(sources: readonly MetricSource[], log: Logger): Promise<Metric[]> {
  const collected = sources.map(async (source) => {
    try {
      return [...(await source.collect())];
    } catch (error) {
      log.log("warn", "some metrics are missing in an answer", { error: HullError.from(error).message });
      return [];
    }
  });
  return (await Promise.all(collected)).flat();
}

/** The scrapes themselves, as Go's handler counts them. */
class Scrapes implements MetricSource {
  #running = 0;
  readonly #ended = new Map([200, 500, 503].map((status) => [status, 0]));

  async count(scrape: () => Promise<Response>): Promise<Response> {
    this.#running++;
    try {
      const response = await scrape();
      this.#ended.set(response.status, (this.#ended.get(response.status) ?? 0) + 1);
      return response;
    } finally {
      this.#running--;
    }
  }

  collect(): Metric[] {
    return [
      {
        name: "promhttp_metric_handler_requests_in_flight",
        help: "Current number of scrapes being served.",
        type: "gauge",
        samples: [{ value: this.#running }],
      },
      {
        name: "promhttp_metric_handler_requests_total",
        help: "Total number of scrapes by HTTP status code.",
        type: "counter",
        samples: [...this.#ended].map(([code, value]) => ({ labels: { code: String(code) }, value })),
      },
    ];
  }
}
