import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalContentFixture } from "@hull/engine/content/fixture";
import type { LocalContentStore } from "@hull/engine/content/store";
import { contentSuite } from "@hull/engine/content/suite";
import { contextFor } from "@hull/engine/context";
import { GrpcServer } from "../server/grpc.ts";
import { acceptAt } from "../server/unix-socket.ts";
import { contentService } from "../services/content.ts";
import { ProxyBlobs, ProxyIngests } from "./content.ts";
import { proxyPlugins } from "./index.ts";
import { Link } from "./link.ts";

/** A content store behind a socket of its own, and a store here that keeps its bytes there. */
class Proxied implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly far: LocalContentStore;
  readonly near: LocalContentFixture;

  private constructor(stack: AsyncDisposableStack, far: LocalContentStore, near: LocalContentFixture) {
    this.#stack = stack;
    this.far = far;
    this.near = near;
  }

  static async start(): Promise<Proxied> {
    const stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), "hull-proxy-"));
    stack.defer(() => rmSync(folder, { recursive: true }));
    const far = stack.use(new LocalContentFixture()).store;
    const size = 16 << 20;
    const server = new GrpcServer([contentService(far)], { maxReceiveMessageSize: size, maxSendMessageSize: size });
    stack.defer(() => server.close(100));
    const socket = join(folder, "far.sock");
    stack.use(await acceptAt({ path: socket }, (connection) => server.accept(connection)));
    const link = stack.use(new Link(socket));
    const blobs = new ProxyBlobs(link, folder);
    const near = stack.use(new LocalContentFixture({ root: { blobs, ingests: new ProxyIngests(link, blobs) } }));
    return new Proxied(stack, far, near);
  }

  get store(): LocalContentStore {
    return this.near.store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

contentSuite("bytes in another process", () => Proxied.start());

const ctx = contextFor("default");
const bytes = new TextEncoder().encode("hello");

describe("a content store in another process", () => {
  async function put(store: LocalContentStore, ref: string): Promise<string> {
    await using writer = await store.writer(ctx, ref);
    await writer.write(bytes);
    return (await writer.commit()).digest;
  }

  test("keeps the bytes, and none of the records", async () => {
    await using proxied = await Proxied.start();
    const digest = await put(proxied.store, "a");
    await proxied.store.update(ctx, digest, { k: "v" });
    expect(Object.keys((await proxied.far.info(ctx, digest)).labels)).toEqual(["containerd.io/gc.root"]);
    expect((await proxied.store.info(ctx, digest)).labels).toEqual({ k: "v" });
    expect(await proxied.far.listStatuses(ctx)).toEqual([]);
  });

  test("gives other programs a copy", async () => {
    await using proxied = await Proxied.start();
    const digest = await put(proxied.store, "a");
    const paths = await Promise.all([proxied.store.path(ctx, digest), proxied.store.path(ctx, digest)]);
    expect(paths[0]).toBe(paths[1]);
    expect(readFileSync(paths[0] ?? "", "utf8")).toBe("hello");
  });

  test("loses what no record names, once it is collected", async () => {
    await using proxied = await Proxied.start();
    const digest = await put(proxied.store, "a");
    await (await proxied.store.writer(ctx, "half")).close();
    expect(await proxied.store.collectGarbage()).toEqual({ blobs: 0, ingests: 0 });
    await proxied.store.delete(ctx, digest);
    await proxied.store.abort(ctx, "half");
    expect(await proxied.store.collectGarbage()).toEqual({ blobs: 1, ingests: 0 });
    await expect(proxied.far.info(ctx, digest)).rejects.toThrow("content digest");
    expect(await put(proxied.store, "b")).toBe(digest);
  });

  test("is declared by the configuration", () => {
    const [plugin] = proxyPlugins({ far: { type: "content", address: "/run/far.sock" } });
    expect(plugin).toMatchObject({ type: "io.containerd.content.v1", id: "far" });
  });
});
