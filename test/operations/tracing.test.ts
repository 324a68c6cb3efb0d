/** A trace from a client's call through the daemon and its shim to the OCI runtime. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { connectGrpc } from "@hull/client/transport/grpc";
import { startHull } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { runProgram } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";

const needsRoot = process.getuid?.() === 0 ? "" : " (skipped: needs root)";

interface CollectedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
}

interface Posted {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly { key: string; value: { stringValue?: string } }[] };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<CollectedSpan, "service">[] }[];
  }[];
}

describe.skipIf(needsRoot !== "")(`tracing${needsRoot}`, () => {
  const stack = new AsyncDisposableStack();
  const spans: CollectedSpan[] = [];
  const namespace = `test-${process.pid}-t`;
  const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  beforeAll(async () => {
    const collector = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (request) => {
        for (const { resource, scopeSpans } of ((await request.json()) as Posted).resourceSpans) {
          const service = resource.attributes.find(({ key }) => key === "service.name")?.value.stringValue ?? "";
          spans.push(...scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ service, ...span }))));
        }
        return new Response("{}");
      },
    });
    stack.defer(() => collector.stop(true));
    const folder = stack.use(scratch());
    stack.defer(() => removeLeftovers(namespace));
    mkdirSync(folder.join("rootfs/bin"), { recursive: true });
    for (const name of ["proc", "sys", "dev"]) mkdirSync(folder.join("rootfs", name));
    copyFileSync("/bin/busybox", folder.join("rootfs/bin/busybox"));
    symlinkSync("busybox", folder.join("rootfs/bin/true"));
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}` };
    const config = '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n';
    await using hull = await startHull(folder.join("h"), config, { env });
    const { status, stderr } = await runProgram([
      "ctr",
      "-a",
      hull.address,
      "-n",
      namespace,
      "run",
      "--rm",
      "--rootfs",
      folder.join("rootfs"),
      "t",
      "/bin/true",
    ]);
    if (status !== 0) throw new Error(stderr);
    await using connection = await connectGrpc(hull.address);
    await connection.client(VersionDefinition, { metadata: { traceparent: caller } }).version({});
    await hull.stop();
    // The shims end a moment after the daemon, and send what they have.
    for (let i = 0; i < 1000 && !spans.some(({ service }) => service === "hull-shim"); i++) await Bun.sleep(50);
  });
  afterAll(() => stack.disposeAsync());

  const find = (service: string, name: string): CollectedSpan | undefined =>
    spans.find((span) => span.service === service && span.name === name);

  test("a call is within its caller's span", () => {
    expect(find("hull", "containerd.services.version.v1.Version/Version")).toMatchObject({
      traceId: "0af7651916cd43dd8448eb211c80319c",
      parentSpanId: "b7ad6b7169203331",
    });
  });

  test("creating a task leads through the shim to the runtime, in one trace", () => {
    const create = find("hull", "containerd.services.tasks.v1.Tasks/Create");
    expect(create).toBeDefined();
    const trace = spans.filter(({ traceId }) => traceId === create?.traceId);
    const names = trace.map(({ service, name }) => `${service}: ${name}`);
    expect(names).toContain("hull: containerd.task.v3.Task/Create");
    expect(names).toContain("hull-shim: containerd.task.v3.Task/Create");
    expect(names).toContain("hull-shim: runtime create");
    const runtime = trace.find(({ name }) => name === "runtime create");
    const ancestors: string[] = [];
    for (let at = runtime; at !== undefined; at = trace.find(({ spanId }) => spanId === at?.parentSpanId)) {
      ancestors.push(at.name);
    }
    expect(ancestors).toEqual([
      "runtime create",
      "containerd.task.v3.Task/Create",
      "containerd.task.v3.Task/Create",
      "containerd.services.tasks.v1.Tasks/Create",
    ]);
  });
});
