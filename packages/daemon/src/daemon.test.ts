import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { inMemoryClient } from "@hull/api/memory";
import { releaseOf } from "@hull/api/release";
import type { ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import { connectGrpc } from "@hull/client/transport/grpc";
import { defaultConfig } from "./config/load.ts";
import { type Daemon, startDaemon } from "./daemon.ts";

const isRoot = process.getuid?.() === 0;
const directory = mkdtempSync(join(tmpdir(), "hull-daemon-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let number = 0;

async function start(base = join(directory, String(++number))): Promise<Daemon & { base: string }> {
  const { config } = defaultConfig();
  const daemon = await startDaemon({
    ...config,
    root: join(base, "root"),
    state: join(base, "state"),
    grpc: { ...config.grpc, address: join(base, "hull.sock") },
    plugins: { "io.containerd.runtime.v2.task": { spare_shims: 0 } },
  });
  return Object.assign(daemon, { base });
}

/** A client of a daemon's service without a socket. */
function client<D extends ServiceDefinition>(daemon: Daemon, definition: D, namespace = "test"): ServiceClient<D> {
  const found = daemon.services.find((service) => service.definition.fullName === definition.fullName);
  if (found === undefined) throw new Error(`no service ${definition.fullName}`);
  return inMemoryClient(definition, found.implementation as never, { metadata: { "containerd-namespace": namespace } });
}

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe.skipIf(!isRoot)("daemon (needs root: sockets have an owner, overlays are mounted)", () => {
  test("serves on its sockets, shows its plugins, keeps its uuid, and leaves nothing when it stops", async () => {
    const daemon = await start();
    const connection = await connectGrpc(daemon.address);
    expect(await connection.client(VersionDefinition).version({})).toMatchObject({ version: releaseOf("0.1.0") });
    const introspection = connection.client(IntrospectionDefinition);
    const { uuid, pid } = await introspection.server({});
    expect(pid).toBe(BigInt(process.pid));
    const { plugins } = await introspection.plugins({ filters: ["type==io.containerd.content.v1"] });
    expect(plugins).toMatchObject([{ type: "io.containerd.content.v1", id: "content", initErr: undefined }]);
    await connection.close();
    await daemon.stop();
    expect([daemon.address, daemon.ttrpcAddress].some(existsSync)).toBe(false);
    await using again = await start(daemon.base);
    expect((await client(again, IntrospectionDefinition).server({})).uuid).toBe(uuid);
  });

  test("a second one on the same root is refused, by the name of the holder", async () => {
    await using daemon = await start();
    const error = await failureOf(start(daemon.base));
    expect(String(error)).toContain(`is in use by process ${process.pid} (`);
  });

  test("records made through the services are there after a restart", async () => {
    const daemon = await start();
    await client(daemon, NamespacesDefinition).create({ namespace: { name: "test", labels: { a: "b" } } });
    const target = {
      mediaType: "application/vnd.oci.image.index.v1+json",
      digest: `sha256:${"0".repeat(64)}`,
      size: 7n,
    };
    await client(daemon, ImagesDefinition).create({ image: { name: "x", target } });
    await client(daemon, SnapshotsDefinition).prepare({ snapshotter: "native", key: "k" });
    await client(daemon, LeasesDefinition).create({ id: "l" });
    await daemon.stop();
    await using again = await start(daemon.base);
    expect(await client(again, NamespacesDefinition).list({})).toEqual({
      namespaces: [{ name: "test", labels: { a: "b" } }],
    });
    expect((await client(again, ImagesDefinition).get({ name: "x" })).image).toMatchObject({ name: "x", target });
    expect((await client(again, SnapshotsDefinition).stat({ snapshotter: "native", key: "k" })).info?.kind).toBe(2);
    expect((await client(again, LeasesDefinition).list({})).leases).toMatchObject([{ id: "l" }]);
  });

  test("content is written by the rules of the wire", async () => {
    await using daemon = await start();
    const content = client(daemon, ContentDefinition);
    const data = new TextEncoder().encode("hello");
    const digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    const write = async (...messages: object[]): Promise<object[]> => {
      async function* requests() {
        yield* messages;
      }
      const answers = [];
      for await (const answer of content.write(requests())) answers.push(answer);
      return answers;
    };
    expect(await failureOf(write({ action: 0 }))).toMatchObject({ code: "invalidArgument" });
    expect(await write({ ref: "r", action: 1, data })).toMatchObject([{ offset: 5n, digest }]);
    expect(await write({ ref: "r", action: 0 })).toMatchObject([{ action: 0, offset: 5n, digest }]);
    expect(await failureOf(write({ ref: "r", action: 1, data, offset: 3n }))).toMatchObject({ code: "outOfRange" });
    // A commit without its offset begins anew, so that nothing is left to commit.
    expect(await failureOf(write({ ref: "r", action: 2, total: 5n }))).toMatchObject({ code: "failedPrecondition" });
    const committed = await write(
      { ref: "r", action: 1, data },
      { action: 2, offset: 5n, total: 5n, expected: digest, labels: { a: "b" } },
    );
    expect(committed).toMatchObject([{ offset: 5n }, { action: 2, offset: 5n, digest }]);
    expect(await failureOf(write({ ref: "r2", action: 0, expected: digest }))).toMatchObject({ code: "alreadyExists" });
    const read = [];
    for await (const answer of content.read({ digest, offset: 1n, size: 3n })) read.push(answer);
    expect(read).toEqual([{ offset: 0n, data: data.slice(1, 4) }]);
    expect((await content.info({ digest })).info).toMatchObject({ size: 5n, labels: { a: "b" } });
  });

  test("what needs a namespace says so", async () => {
    await using daemon = await start();
    const error = await failureOf(client(daemon, ImagesDefinition, "").list({}));
    expect(error).toMatchObject({ code: "failedPrecondition", message: "namespace is required" });
  });

  test("an unknown snapshotter is an invalid argument", async () => {
    await using daemon = await start();
    const error = await failureOf(client(daemon, SnapshotsDefinition).stat({ snapshotter: "nope", key: "k" }));
    expect(error).toMatchObject({ code: "invalidArgument" });
  });
});
