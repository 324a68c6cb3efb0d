import { describe, expect, test } from "bun:test";
import { HullError, isCode, notFound, unavailable } from "@hull/errors";
import { ContentDefinition } from "./gen/containerd/services/content/v1/content.ts";
import { inMemoryClient, OpenCalls } from "./memory.ts";
import type { CallContext, ServiceImplementation } from "./rpc.ts";

type Content = ServiceImplementation<typeof ContentDefinition>;

const clientOf = (content: Content) =>
  inMemoryClient(ContentDefinition, content, { metadata: { "containerd-namespace": "default" } });

/** A handler's wait that only its call's end ends. */
const untilAborted = (call: CallContext) =>
  new Promise<never>((_, reject) => call.signal.addEventListener("abort", () => reject(call.signal.reason)));

describe("a client in memory", () => {
  test("calls a handler with the fields' defaults and the metadata", async () => {
    const client = clientOf({
      async info(request, call) {
        return {
          info: {
            digest: `${call.metadata("containerd-namespace")} ${call.metadata("x")} ${request.digest}`,
            size: 5n,
          },
        };
      },
    });
    const { info } = await client.info({ digest: "d" }, { metadata: { x: "y" } });
    expect(info).toMatchObject({ digest: "default y d", size: 5n, labels: {} });
    expect(info?.createdAt).toBeUndefined();
  });

  test("shares no memory between the two sides", async () => {
    const kept = { ref: "r", labels: { a: "1" } };
    const client = clientOf({
      async status() {
        return { status: kept };
      },
    });
    const { status } = await client.status({ ref: "r" });
    if (status) status.ref = "changed";
    expect(kept.ref).toBe("r");
  });

  test("answers unimplemented for a method that is left out", async () => {
    const error = await clientOf({})
      .abort({ ref: "r" })
      .catch((thrown: unknown) => thrown);
    expect(isCode(error, "unimplemented")).toBe(true);
    expect(String(error)).toContain("containerd.services.content.v1.Content/Abort");
  });

  test("hands a handler's error over, anything else as unknown", async () => {
    const client = clientOf({
      async info() {
        throw notFound('content "d"');
      },
      async status() {
        throw new TypeError("oops");
      },
    });
    await expect(client.info({ digest: "d" })).rejects.toMatchObject({ code: "notFound", message: 'content "d"' });
    await expect(client.status({ ref: "" })).rejects.toMatchObject({ code: "unknown", message: "oops" });
  });

  test("streams both ways, one message at a time", async () => {
    const taken: string[] = [];
    const client = clientOf({
      async *write(requests) {
        for await (const { ref } of requests) {
          taken.push(`server ${ref}`);
          yield { digest: ref };
        }
      },
    });
    async function* requests() {
      for (const ref of ["a", "b"]) {
        taken.push(`client ${ref}`);
        yield { ref };
      }
    }
    const digests: string[] = [];
    for await (const { digest } of client.write(requests())) digests.push(digest);
    expect(digests).toEqual(["a", "b"]);
    expect(taken).toEqual(["client a", "server a", "client b", "server b"]);
  });

  test("aborts the handler of a stream that is left early", async () => {
    const aborted = Promise.withResolvers<void>();
    const client = clientOf({
      async *read(_request, call) {
        call.signal.addEventListener("abort", () => aborted.resolve());
        for (let offset = 0n; ; offset++) yield { offset };
      },
    });
    for await (const { offset } of client.read({ digest: "d" })) if (offset === 3n) break;
    await aborted.promise;
  });

  test("fails calls under way and later ones when the connection ends", async () => {
    const reasons: unknown[] = [];
    const told = async (call: CallContext): Promise<never> => {
      call.signal.addEventListener("abort", () => reasons.push(call.signal.reason));
      return await untilAborted(call);
    };
    const content: Content = {
      info: (_request, call) => told(call),
      async *read(_request, call) {
        yield { offset: 0n };
        await told(call);
      },
      async delete() {
        return {};
      },
    };
    const connection = new OpenCalls();
    const client = inMemoryClient(ContentDefinition, content, { connection });
    await client.delete({});
    const info = client.info({}).catch((error: unknown) => error);
    const reading = Array.fromAsync(client.read({})).catch((error: unknown) => error);
    await Bun.sleep(1);
    const end = unavailable("closed");
    connection.end(end);
    connection.end(unavailable("closed again"));
    expect(await Promise.all([info, reading])).toEqual([end, end]);
    expect(reasons).toEqual([end, end]);
    await expect(client.delete({})).rejects.toBe(end);
    await expect(Array.fromAsync(client.read({}))).rejects.toBe(end);
  });

  test("ends a call by its signal and by its deadline", async () => {
    const reasons: unknown[] = [];
    const client = clientOf({
      async info(_request, call) {
        call.signal.addEventListener("abort", () => reasons.push(call.signal.reason));
        return await untilAborted(call);
      },
      async *read(_request, call) {
        yield { offset: 0n };
        await untilAborted(call);
      },
    });
    const controller = new AbortController();
    const call = client.info({}, { signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: "canceled" });
    await expect(client.info({}, { timeoutMs: 5 })).rejects.toMatchObject({ code: "deadlineExceeded" });
    await expect(client.info({}, { signal: AbortSignal.timeout(5) })).rejects.toMatchObject({
      code: "deadlineExceeded",
    });
    await expect(client.info({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "canceled" });
    const reading = (async () => {
      for await (const _ of client.read({}, { timeoutMs: 5 }));
    })();
    await expect(reading).rejects.toMatchObject({ code: "deadlineExceeded" });
    expect(reasons.every((reason) => reason instanceof HullError)).toBe(true);
    expect(reasons).toHaveLength(3);
  });
});
