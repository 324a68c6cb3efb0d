import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isTraced, readTraceSettings, type Sampler } from "./environment.ts";
import { currentTraceparent, installRecorder, isTracing, span } from "./index.ts";
import { encodeSpans } from "./otlp.ts";
import { type EndedSpan, SpanRecorder } from "./recorder.ts";
import { startTracing } from "./start.ts";
import { formatTraceparent, parseTraceparent } from "./traceparent.ts";

afterEach(() => installRecorder(undefined));

/** Records spans from now on; gives those that end. */
function record(sampler: Sampler = { parentBased: true, ratio: 1 }): EndedSpan[] {
  const ended: EndedSpan[] = [];
  installRecorder(new SpanRecorder(sampler, (one) => ended.push(one)));
  return ended;
}

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

describe("traceparent", () => {
  // Of the recommendation's text.
  test.each([
    [caller, { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true }],
    ["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-what-comes", { sampled: false }],
  ])("%p is read", (header, context) => {
    expect(parseTraceparent(header)).toMatchObject(context);
  });

  test.each([
    undefined,
    "",
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
  ])("%p counts as none", (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });

  test("what is written is read back, and no text throws", () => {
    const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits - 1}}[1-9a-f]$`));
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), fc.string(), (traceId, spanId, sampled, text) => {
        expect(parseTraceparent(formatTraceparent({ traceId, spanId, sampled }))).toEqual({ traceId, spanId, sampled });
        parseTraceparent(text);
      }),
    );
  });
});

describe("spans", () => {
  test("cost nothing without a recorder: the work is called, and gets none", () => {
    expect(isTracing()).toBe(false);
    expect(span("x", {}, (running) => running)).toBeUndefined();
    expect(currentTraceparent()).toBeUndefined();
  });

  test("are within each other as the work is, over awaits and side by side", async () => {
    const ended = record();
    await span("outer", {}, async () => {
      await Promise.all(
        ["a", "b"].map((name) =>
          span(name, {}, async () => {
            await Bun.sleep(1);
            await span(`${name}/inner`, {}, () => Bun.sleep(1));
          }),
        ),
      );
    });
    const byName = new Map(ended.map((one) => [one.name, one]));
    const outer = byName.get("outer");
    expect(outer?.parentId).toBe("");
    for (const name of ["a", "b"]) {
      expect(byName.get(name)?.parentId).toBe(outer?.spanId);
      expect(byName.get(`${name}/inner`)?.parentId).toBe(byName.get(name)?.spanId);
    }
    expect(new Set(ended.map(({ traceId }) => traceId)).size).toBe(1);
    expect(ended.every(({ start, end }) => end >= start)).toBe(true);
  });

  test("go on behind a caller in another process, and tell their callees", () => {
    const ended = record();
    span("answer", { kind: "server", traceparent: caller }, () => {
      expect(currentTraceparent()).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    });
    expect(ended).toMatchObject([{ parentId: "b7ad6b7169203331", kind: "server" }]);
  });

  test("note an error and throw it on", async () => {
    const ended = record();
    const failing = span("x", {}, async () => {
      throw new Error("broken");
    });
    expect(await failing.catch(String)).toBe("Error: broken");
    expect(() =>
      span("y", {}, () => {
        throw new Error("too");
      }),
    ).toThrow("too");
    expect(ended).toMatchObject([{ error: "broken" }, { error: "too" }]);
  });

  test("of streams last until their end, and each step is within them", async () => {
    const ended = record();
    const seen: (string | undefined)[] = [];
    async function* steps(): AsyncGenerator<number> {
      for (let step = 0; ; step++) {
        seen.push(currentTraceparent());
        yield step;
      }
    }
    for await (const step of span("stream", {}, steps)) if (step === 2) break;
    expect(ended).toHaveLength(1);
    expect(new Set(seen)).toEqual(new Set([formatTraceparent(ended[0] as EndedSpan)]));
  });

  test("are taken as the sampler says: a caller's word counts where it is asked for", () => {
    const unsampled = caller.replace(/01$/, "00");
    const taken = (sampler: Sampler, traceparent?: string): number => {
      const ended = record(sampler);
      span("x", { traceparent }, () => {});
      return ended.length;
    };
    expect(taken({ parentBased: true, ratio: 1 }, unsampled)).toBe(0);
    expect(taken({ parentBased: true, ratio: 0 }, caller)).toBe(1);
    expect(taken({ parentBased: false, ratio: 1 }, unsampled)).toBe(1);
    expect(taken({ parentBased: true, ratio: 0 })).toBe(0);
    const ended = record({ parentBased: true, ratio: 0.3 });
    for (let i = 0; i < 2000; i++) span("x", {}, () => {});
    expect(ended.length).toBeGreaterThan(400);
    expect(ended.length).toBeLessThan(800);
  });
});

describe("the environment", () => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318/" };

  test("names the collector, or there is no tracing", () => {
    expect(readTraceSettings({}, "hull")).toBeUndefined();
    expect(readTraceSettings(endpoint, "hull")).toMatchObject({
      url: "http://localhost:4318/v1/traces",
      resource: { "service.name": "hull" },
      sampler: { parentBased: true, ratio: 1 },
    });
    const own = { ...endpoint, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://c.example/x" };
    expect(readTraceSettings(own, "hull")?.url).toBe("https://c.example/x");
    expect(isTraced({ ...endpoint, OTEL_SDK_DISABLED: "true" })).toBe(false);
    expect(isTraced({ ...endpoint, OTEL_TRACES_EXPORTER: "none" })).toBe(false);
  });

  test("gives headers, names and the sampler", () => {
    const settings = readTraceSettings(
      {
        ...endpoint,
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x, b = c",
        OTEL_RESOURCE_ATTRIBUTES: "host.name=h,service.name=other",
        OTEL_SERVICE_NAME: "mine",
        OTEL_TRACES_SAMPLER: "traceidratio",
        OTEL_TRACES_SAMPLER_ARG: "0.25",
      },
      "hull",
    );
    expect(settings).toMatchObject({
      headers: { authorization: "Bearer x", b: "c" },
      resource: { "host.name": "h", "service.name": "mine" },
      sampler: { parentBased: false, ratio: 0.25 },
    });
  });

  test.each([
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, 'OTEL_EXPORTER_OTLP_PROTOCOL "grpc" is not supported'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4318" }, "must be an HTTP URL"],
    [{ OTEL_TRACES_SAMPLER: "sometimes" }, 'OTEL_TRACES_SAMPLER "sometimes" is not supported'],
    [{ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "7" }, "must be a number from 0 to 1"],
    [{ OTEL_TRACES_EXPORTER: "zipkin" }, 'OTEL_TRACES_EXPORTER "zipkin" is not supported'],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: "soon" }, "must be milliseconds"],
  ])("%p is refused", (variables, message) => {
    expect(() => readTraceSettings({ ...endpoint, ...variables }, "hull")).toThrow(message);
  });
});

describe("export", () => {
  test("is OTLP's JSON", () => {
    const ended: EndedSpan = {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      sampled: true,
      name: "n",
      kind: "server",
      parentId: "",
      start: 1_700_000_000_000.5,
      end: 1_700_000_000_001,
      attributes: { s: "x", i: 5, d: 0.5, b: true },
      error: "broken",
    };
    expect(encodeSpans({ "service.name": "hull" }, [ended])).toEqual({
      resourceSpans: [
        {
          resource: { attributes: [{ key: "service.name", value: { stringValue: "hull" } }] },
          scopeSpans: [
            {
              scope: { name: "hull" },
              spans: [
                {
                  traceId: "0af7651916cd43dd8448eb211c80319c",
                  spanId: "b7ad6b7169203331",
                  name: "n",
                  kind: 2,
                  startTimeUnixNano: "1700000000000500000",
                  endTimeUnixNano: "1700000000001000000",
                  attributes: [
                    { key: "s", value: { stringValue: "x" } },
                    { key: "i", value: { intValue: "5" } },
                    { key: "d", value: { doubleValue: 0.5 } },
                    { key: "b", value: { boolValue: true } },
                  ],
                  status: { code: 2, message: "broken" },
                },
              ],
            },
          ],
        },
      ],
    });
  });

  test("posts in batches, sends the rest at the end, and tells once of a collector that fails", async () => {
    const posts: { spans: number; authorization: string | null }[] = [];
    let status = 200;
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (request) => {
        const body = (await request.json()) as { resourceSpans: [{ scopeSpans: [{ spans: unknown[] }] }] };
        posts.push({
          spans: body.resourceSpans[0].scopeSpans[0].spans.length,
          authorization: request.headers.get("authorization"),
        });
        return new Response(null, { status });
      },
    });
    const failures: string[] = [];
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.port}`,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=x",
    };
    const open = () => startTracing(env, "hull", (message) => failures.push(message));
    {
      await using _tracing = open();
      for (let i = 0; i < 300; i++) span("x", {}, () => {});
    }
    expect(posts).toEqual([
      { spans: 256, authorization: "x" },
      { spans: 44, authorization: "x" },
    ]);
    expect(isTracing()).toBe(false);
    status = 500;
    {
      await using _tracing = open();
      for (let i = 0; i < 600; i++) span("x", {}, () => {});
    }
    expect(failures).toEqual([expect.stringContaining("it answered 500")]);
  });
});
