import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contextFor } from "@hull/engine/context";
import { SnapshotterFixture } from "@hull/engine/snapshots/fixture";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import { OverlaySnapshotter } from "@hull/engine/snapshots/overlayfs";
import { snapshotterSuite } from "@hull/engine/snapshots/suite";
import { alreadyExists } from "@hull/errors";
import { GrpcServer } from "../server/grpc.ts";
import { acceptAt } from "../server/unix-socket.ts";
import { snapshotsService } from "../services/snapshots.ts";
import { proxyPlugins } from "./index.ts";
import { Link } from "./link.ts";
import { ProxySnapshotter } from "./snapshotter.ts";

/** A snapshotter behind a socket of its own, and the proxy for it. */
class Proxied implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly backend: SnapshotterFixture<OverlaySnapshotter>;
  readonly fixture: SnapshotterFixture<ProxySnapshotter & AsyncDisposable>;
  readonly link: Link;

  private constructor(stack: AsyncDisposableStack, backend: SnapshotterFixture<OverlaySnapshotter>, socket: string) {
    this.#stack = stack;
    this.backend = backend;
    this.link = stack.use(new Link(socket));
    this.fixture = stack.use(
      new SnapshotterFixture((options) =>
        Object.assign(new ProxySnapshotter("far", this.link, backend.snapshotter.capabilities, options), {
          [Symbol.asyncDispose]: async () => {},
        }),
      ),
    );
  }

  static async start(serve: (backend: Snapshotter) => Snapshotter = (backend) => backend): Promise<Proxied> {
    const stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), "hull-proxy-"));
    stack.defer(() => rmSync(folder, { recursive: true }));
    const backend = stack.use(new SnapshotterFixture((options) => new OverlaySnapshotter(options)));
    const size = 16 << 20;
    const server = new GrpcServer([snapshotsService(new Map([["far", serve(backend.snapshotter)]]))], {
      maxReceiveMessageSize: size,
      maxSendMessageSize: size,
    });
    stack.defer(() => server.close(100));
    const socket = join(folder, "far.sock");
    stack.use(await acceptAt({ path: socket }, (connection) => server.accept(connection)));
    return new Proxied(stack, backend, socket);
  }

  get snapshotter(): ProxySnapshotter {
    return this.fixture.snapshotter;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

snapshotterSuite("a proxy", () => Proxied.start());

const ctx = contextFor("default");

async function names(snapshotter: Snapshotter): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of snapshotter.walk(ctx)) found.push(name.replace(/\/\d+\//, "/N/"));
  return found.sort();
}

describe("a proxy", () => {
  test("has names of its own there, hands labels on, and clears away what has no record", async () => {
    await using proxied = await Proxied.start();
    const { snapshotter, backend } = proxied;
    const labels = { "containerd.io/snapshot/cri.image-ref": "image", mine: "own" };
    await snapshotter.prepare(ctx, "a", "", { labels });
    await snapshotter.commit(ctx, "one", "a", { labels });
    await snapshotter.prepare(ctx, "b", "one");
    expect(await names(backend.snapshotter)).toEqual(["default/N/b", "default/N/one"]);
    expect(await names(snapshotter)).toEqual(["b", "one"]);
    for await (const info of backend.snapshotter.walk(ctx)) {
      expect(Object.keys(info.labels)).toEqual(
        info.name.endsWith("one") ? ["containerd.io/snapshot/cri.image-ref"] : [],
      );
    }
    await backend.snapshotter.prepare(ctx, "somebody else's", "");
    await backend.snapshotter.prepare(ctx, "default/99/lost", "");
    await snapshotter.cleanup();
    expect(await names(backend.snapshotter)).toEqual(["default/N/b", "default/N/one", "somebody else's"]);
    await snapshotter.remove(ctx, "b");
    await snapshotter.remove(ctx, "one");
    expect(await names(backend.snapshotter)).toEqual(["somebody else's"]);
  });

  test("takes over a snapshot that is there without anybody having made it", async () => {
    const target = "containerd.io/snapshot.ref";
    await using proxied = await Proxied.start((backend) =>
      Object.create(backend, {
        prepare: {
          value: async (...[context, key, parent, options]: Parameters<Snapshotter["prepare"]>) => {
            const wanted = options?.labels?.[target];
            if (wanted === undefined) return await backend.prepare(context, key, parent, options);
            await backend.prepare(context, key, parent);
            await backend.commit(context, `remote/${wanted}`, key, { labels: { [target]: wanted } });
            throw alreadyExists(`target snapshot "${wanted}"`);
          },
        },
        ...Object.fromEntries(
          (["stat", "walk", "mounts", "view", "commit", "remove", "usage", "cleanup", "update"] as const).map(
            (name) => [name, { value: (...args: never[]) => Reflect.apply(backend[name], backend, args) }],
          ),
        ),
      }),
    );
    const { snapshotter } = proxied;
    const asked = snapshotter.prepare(ctx, "extract", "", { labels: { [target]: "sha256:chain" } });
    await expect(asked).rejects.toMatchObject({ code: "alreadyExists" });
    expect(await snapshotter.stat(ctx, "sha256:chain")).toMatchObject({ kind: "committed", parent: "" });
    expect((await snapshotter.prepare(ctx, "c", "sha256:chain"))[0]?.type).toBe("overlay");
  });

  test("says so while nobody answers, and works once somebody does", async () => {
    await using proxied = await Proxied.start();
    const lonely = new ProxySnapshotter("far", new Link("/nonexistent/socket"), [], proxied.fixture.options);
    await expect(lonely.prepare(ctx, "a", "")).rejects.toMatchObject({ code: "unavailable" });
    expect(await names(lonely)).toEqual([]);
  });
});

describe("the configuration of proxy plugins", () => {
  test("declares plugins, and names what is wrong with it", () => {
    const address = "/run/far.sock";
    expect(proxyPlugins({ far: { type: "snapshot", address }, d: { type: "diff", address } })).toMatchObject([
      { type: "io.containerd.snapshotter.v1", id: "far" },
      { type: "io.containerd.differ.v1", id: "d" },
    ]);
    expect(() => proxyPlugins({ far: { address } })).toThrow('[proxy_plugins."far"]: key "type" is missing');
    expect(() => proxyPlugins({ far: { type: "snapshot" } })).toThrow('key "address" is missing');
    expect(() => proxyPlugins({ far: { type: "snapshotter", address } })).toThrow('key "type" must be one of');
    expect(() => proxyPlugins({ far: 1 })).toThrow("must be a table");
  });
});
