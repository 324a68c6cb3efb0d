import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contextFor } from "@hull/engine/context";
import { LocalEventExchange } from "@hull/engine/events/exchange";
import { MetadataFixture } from "@hull/engine/metadata/fixture";
import type { SandboxController } from "@hull/engine/sandbox/controller";
import { notFound } from "@hull/errors";
import { GrpcServer } from "../server/grpc.ts";
import { acceptAt } from "../server/unix-socket.ts";
import { sandboxControllerService } from "../services/sandboxes.ts";
import { Link } from "./link.ts";
import { ProxySandboxController } from "./sandbox-controller.ts";

const seconds = 1_000_000_000n;
const data = { typeUrl: "example.com/data", value: Buffer.from("data") };

test("a controller behind a socket is asked as one that is here, and answers as it does", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "hull-proxy-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const { stores } = stack.use(new MetadataFixture());
  const asked: unknown[] = [];
  const answers = {
    create: undefined,
    start: { pid: 7, createdAt: 3n * seconds, spec: data, address: "ttrpc+unix:///task", version: 3 },
    platform: { os: "linux", architecture: "arm64", variant: "v8" },
    stop: undefined,
    wait: { exitStatus: 9, exitedAt: 5n * seconds },
    status: {
      pid: 7,
      state: "SANDBOX_READY",
      info: { a: "b" },
      createdAt: 3n * seconds,
      exitedAt: undefined,
      extra: data,
      address: "ttrpc+unix:///task",
      version: 3,
    },
    metrics: { id: "pod", timestamp: 4n * seconds, data },
    update: undefined,
  };
  const answer =
    <K extends keyof typeof answers>(method: K) =>
    async ({ namespace }: { namespace: string }, ...rest: unknown[]): Promise<(typeof answers)[K]> => {
      asked.push([method, namespace, ...rest]);
      return answers[method];
    };
  const backend: SandboxController = {
    create: answer("create"),
    start: answer("start"),
    platform: answer("platform"),
    stop: answer("stop"),
    wait: answer("wait"),
    status: answer("status"),
    shutdown: async (_, id) => {
      throw notFound(`sandbox "${id}"`);
    },
    metrics: answer("metrics"),
    update: answer("update"),
    load: async () => {},
    close: async () => {},
  };
  const parts = {
    controllers: new Map([["far", backend]]),
    sandboxes: stores.sandboxes,
    events: new LocalEventExchange(),
  };
  const size = 16 << 20;
  const server = new GrpcServer([sandboxControllerService(parts)], {
    maxReceiveMessageSize: size,
    maxSendMessageSize: size,
  });
  stack.defer(() => server.close(100));
  const socket = join(folder, "far.sock");
  stack.use(await acceptAt({ path: socket }, (connection) => server.accept(connection)));
  const proxy = new ProxySandboxController("far", stack.use(new Link(socket)));

  const ctx = contextFor("pods");
  const sandbox = {
    id: "pod",
    labels: { x: "y" },
    runtime: { name: "r", options: data },
    spec: data,
    sandboxer: "far",
    extensions: { e: data },
  };
  const surroundings = {
    rootfs: [{ type: "bind", source: "/a", target: "", options: ["ro"] }],
    options: data,
    netnsPath: "/run/netns/a",
    annotations: { n: "m" },
  };
  await proxy.create(ctx, sandbox, surroundings);
  expect(await proxy.start(ctx, "pod")).toEqual(answers.start);
  expect(await proxy.platform(ctx, "pod")).toMatchObject(answers.platform);
  await proxy.stop(ctx, "pod", 10);
  expect(await proxy.wait(ctx, "pod")).toEqual(answers.wait);
  expect(await proxy.status(ctx, "pod", true)).toEqual(answers.status);
  expect(await proxy.metrics(ctx, "pod")).toEqual(answers.metrics);
  await proxy.update(ctx, sandbox, ["labels"]);
  expect(asked).toEqual([
    ["create", "pods", sandbox, surroundings],
    ["start", "pods", "pod"],
    ["platform", "pods", "pod"],
    ["stop", "pods", "pod", 10],
    ["wait", "pods", "pod"],
    ["status", "pods", "pod", true],
    ["metrics", "pods", "pod"],
    ["update", "pods", sandbox, ["labels"]],
  ]);
  const refused = proxy.shutdown(ctx, "pod");
  expect(await refused.catch((error: unknown) => error)).toMatchObject({ code: "notFound", message: 'sandbox "pod"' });
});
