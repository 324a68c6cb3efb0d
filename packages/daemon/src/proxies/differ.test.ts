import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contextFor } from "@hull/engine/context";
import type { Differ } from "@hull/engine/diff/index";
import { GrpcServer } from "../server/grpc.ts";
import { acceptAt } from "../server/unix-socket.ts";
import { diffService } from "../services/diff.ts";
import { ProxyDiffer } from "./differ.ts";
import { Link } from "./link.ts";

const descriptor = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: `sha256:${"1".repeat(64)}`, size: 7 };
const mounts = [{ type: "bind", source: "/a", target: "", options: ["rbind"] }];

test("a differ behind a socket is asked as one that is here, and answers as it does", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "hull-proxy-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const asked: unknown[] = [];
  const backend: Differ = {
    apply: async ({ namespace }, ...rest) => {
      asked.push([namespace, ...rest]);
      return { ...descriptor, size: 8 };
    },
    compare: async ({ namespace }, ...rest) => {
      asked.push([namespace, ...rest]);
      return { ...descriptor, annotations: { a: "b" } };
    },
  };
  const size = 16 << 20;
  const server = new GrpcServer([diffService(backend)], { maxReceiveMessageSize: size, maxSendMessageSize: size });
  stack.defer(() => server.close(100));
  const socket = join(folder, "far.sock");
  stack.use(await acceptAt({ path: socket }, (connection) => server.accept(connection)));
  const proxy = new ProxyDiffer(stack.use(new Link(socket)));

  const ctx = contextFor("builds");
  const payloads = { p: { typeUrl: "example.com/p", value: Buffer.from("p") } };
  expect(await proxy.apply(ctx, descriptor, mounts, { syncFs: true, payloads })).toEqual({ ...descriptor, size: 8 });
  const options = { mediaType: "m", ref: "r", labels: { x: "y" }, sourceDateEpoch: 5n };
  expect(await proxy.compare(ctx, [], mounts, options)).toEqual({ ...descriptor, annotations: { a: "b" } });
  expect(asked).toEqual([
    ["builds", descriptor, mounts, { syncFs: true, payloads }],
    ["builds", [], mounts, options],
  ]);
  // Whoever unpacks layers side by side then does it one after the other.
  const refused = proxy.apply(ctx, descriptor, mounts, { rebase: true });
  expect(await refused.catch((error: unknown) => error)).toMatchObject({ code: "failedPrecondition" });
  expect(asked).toHaveLength(2);
});
