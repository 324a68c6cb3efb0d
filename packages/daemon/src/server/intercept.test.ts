import { describe, expect, test } from "bun:test";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { inMemoryClient } from "@hull/api/memory";
import { notFound } from "@hull/errors";
import { CallMetrics } from "../metrics/calls.ts";
import { intercept, type Outcome, watchOutcome } from "./intercept.ts";
import { service } from "./service.ts";

const version = service(VersionDefinition, { version: async () => ({ version: "1", revision: "r" }) });
const events = service(EventsDefinition, {
  publish: async () => {
    throw notFound("nothing");
  },
  async *subscribe() {
    for (let number = 0; ; number++) yield { topic: `/t/${number}` };
  },
});

describe("interceptors", () => {
  test("without any the services stay as they are", () => {
    const services = [version];
    expect(intercept(services, [])).toBe(services);
  });

  test("stand around every method, the first outermost; a method that isn't served says so", async () => {
    const seen: string[] = [];
    const named =
      (name: string) =>
      ({ method }: { method: { name: string } }, next: (request: unknown, call: never) => unknown) =>
      (request: unknown, call: unknown) => {
        seen.push(`${name} ${method.name}`);
        return next(request, call as never);
      };
    const [wrapped] = intercept(
      [service(VersionDefinition, version.implementation as object)],
      [named("a"), named("b")],
    );
    const client = inMemoryClient(VersionDefinition, wrapped?.implementation as never);
    expect(await client.version({})).toEqual({ version: "1", revision: "r" });
    expect(seen).toEqual(["a Version", "b Version"]);
    const [empty] = intercept([service(VersionDefinition, {})], [named("a")]);
    const nothing = inMemoryClient(VersionDefinition, empty?.implementation as never);
    const failure = await nothing.version({}).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "unimplemented" });
  });

  test("outcomes: an answer, an error, a stream that is left", async () => {
    const outcomes: Outcome[] = [];
    const watched = intercept(
      [events, version],
      [
        (ref, next) => (request, call) =>
          watchOutcome(
            ref,
            () => next(request, call),
            (o) => outcomes.push(o),
          ),
      ],
    );
    const client = inMemoryClient(EventsDefinition, watched[0]?.implementation as never);
    for await (const { topic } of client.subscribe({})) if (topic === "/t/3") break;
    await client.publish({ topic: "/a" }).catch(() => {});
    await inMemoryClient(VersionDefinition, watched[1]?.implementation as never).version({});
    // When a stream hears that its reader left is up to the transport.
    expect(outcomes).toContainEqual({ left: true });
    expect(outcomes).toContainEqual({ error: notFound("nothing") });
    expect(outcomes).toContainEqual({});
  });

  test("calls are counted as go-grpc-prometheus does", async () => {
    const metrics = new CallMetrics({ histogram: true });
    const [counted] = intercept([events], [metrics.interceptor]);
    const client = inMemoryClient(EventsDefinition, counted?.implementation as never);
    for await (const { topic } of client.subscribe({})) if (topic === "/t/3") break;
    await client.publish({ topic: "/a" }).catch(() => {});
    const value = (name: string, labels: object): unknown =>
      metrics
        .collect()
        .find((metric) => metric.name === name)
        ?.samples.find((sample) => Bun.deepMatch(labels, sample.labels ?? {}))?.value;
    expect(value("grpc_server_started_total", { grpc_method: "Subscribe", grpc_type: "server_stream" })).toBe(1);
    expect(value("grpc_server_handled_total", { grpc_method: "Subscribe", grpc_code: "Canceled" })).toBe(1);
    expect(value("grpc_server_handled_total", { grpc_method: "Publish", grpc_code: "NotFound" })).toBe(1);
    expect(value("grpc_server_handled_total", { grpc_method: "Publish", grpc_code: "OK" })).toBe(0);
    expect(value("grpc_server_msg_sent_total", { grpc_method: "Subscribe" })).toBeGreaterThanOrEqual(4);
    expect(value("grpc_server_handling_seconds", { grpc_method: "Publish", le: "+Inf" })).toBe(1);
  });
});
