import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContentDefinition, WriteAction } from "@hull/api/gen/containerd/services/content/v1/content";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { grpcMetadata } from "@hull/api/metadata";
import { connectGrpc, type GrpcConnection } from "./grpc.ts";

const containerd = Bun.which("containerd");
const missing = containerd === null || process.getuid?.() !== 0;

/** What a promise rejects with. Bun's `rejects` turns the event loop inside the caller, which HTTP/2's callbacks don't survive. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

describe.skipIf(missing)("a real containerd (needs containerd installed and root)", () => {
  let directory: string;
  let daemon: ChildProcess;
  let connection: GrpcConnection;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "hull-containerd-"));
    const address = join(directory, "containerd.sock");
    writeFileSync(
      join(directory, "config.toml"),
      `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${address}"
`,
    );
    daemon = spawn(containerd ?? "", ["-c", join(directory, "config.toml")], { stdio: ["ignore", "ignore", "pipe"] });
    await new Promise<void>((resolve, reject) => {
      let log = "";
      daemon.once("exit", () => reject(new Error(`containerd ended: ${log}`)));
      daemon.stderr?.on("data", (chunk: Buffer) => {
        log += chunk;
        if (log.includes("successfully booted")) resolve();
      });
    });
    connection = await connectGrpc(address);
  });

  afterAll(async () => {
    await connection?.close();
    if (daemon?.exitCode === null) {
      daemon.kill("SIGTERM");
      await once(daemon, "exit");
    }
    rmSync(directory, { recursive: true, force: true });
  });

  const metadata = grpcMetadata("hull-test");

  async function write(content: Uint8Array): Promise<string> {
    const client = connection.client(ContentDefinition, { metadata });
    async function* requests() {
      yield { action: WriteAction.WRITE, ref: "blob", data: content };
      yield { action: WriteAction.COMMIT, offset: BigInt(content.length) };
    }
    let digest = "";
    for await (const answer of client.write(requests())) digest = answer.digest;
    return digest;
  }

  test("tells its version", async () => {
    const { version } = await connection.client(VersionDefinition).version({});
    expect(version).toMatch(/^\d+\.\d+/);
  });

  test("keeps namespaces, and its errors come with their code and bare text", async () => {
    const namespaces = connection.client(NamespacesDefinition, { metadata });
    await namespaces.create({ namespace: { name: "hull-test", labels: { a: "b" } } });
    const { namespaces: all } = await namespaces.list({});
    expect(all).toContainEqual({ name: "hull-test", labels: { a: "b" } });
    expect(await failure(namespaces.create({ namespace: { name: "hull-test" } }))).toMatchObject({
      code: "alreadyExists",
      message: 'namespace "hull-test"',
    });
  });

  test("takes and gives content in streams", async () => {
    const content = Uint8Array.from({ length: 50_000 }, (_, i) => i * 7);
    const digest = await write(content);
    expect(digest).toBe(`sha256:${createHash("sha256").update(content).digest("hex")}`);
    const client = connection.client(ContentDefinition, { metadata });
    const parts: Uint8Array[] = [];
    for await (const { data } of client.read({ digest })) parts.push(data);
    expect(Buffer.concat(parts).equals(content)).toBe(true);
    expect(await failure(client.info({ digest: `sha256:${"0".repeat(64)}` }))).toMatchObject({ code: "notFound" });
  });

  // Go's servers raise a stream's window amid a transfer, as they measure the bandwidth.
  test("takes more content than a window", async () => {
    const content = Uint8Array.from({ length: 9_000_000 }, (_, i) => i >> 8);
    expect(await write(content)).toBe(`sha256:${createHash("sha256").update(content).digest("hex")}`);
  });

  test("sends events until the caller has enough", async () => {
    const events = connection.client(EventsDefinition);
    const namespaces = connection.client(NamespacesDefinition, { metadata });
    const controller = new AbortController();
    const subscription = events.subscribe({}, { signal: controller.signal })[Symbol.asyncIterator]();
    const first = subscription.next();
    // Nothing on the wire says that the subscription has begun; so events are made until one comes through.
    let heard = false;
    void first.finally(() => {
      heard = true;
    });
    for (let i = 0; !heard; i++) await namespaces.create({ namespace: { name: `n${i}` } });
    expect((await first).value).toMatchObject({ topic: "/namespaces/create", namespace: "hull-test" });
    controller.abort();
    const drained = (async () => {
      while (!(await subscription.next()).done);
    })();
    expect(await failure(drained)).toMatchObject({ code: "canceled" });
  });
});
