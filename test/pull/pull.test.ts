/** Pulls from Debian's docker-registry: what arrives is what was pushed, whatever breaks on the way, and what came once comes no second time. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { busyboxLayer, tarOfFolder, writeLayout } from "../../scripts/image.ts";
import type { Daemon } from "../support/containerd.ts";
import { noContainerd } from "../support/containerd.ts";
import { hullCommand, startHull } from "../support/hull.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { Tap } from "../support/tap.ts";
import { pullByDaemon } from "../support/transfer.ts";

const lacking = noContainerd ?? noRegistry;
const suite = lacking === undefined ? describe : describe.skip;
const MiB = 1 << 20;
const largeSize = 64 * MiB;
const holdAt = 44 * MiB;
/** What may be on the way, and so come again, when a connection breaks: buffers of the sockets and the programs. */
const onTheWay = 24 * MiB;

suite(`pull${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  let shared: Scratch;
  let registry: LocalRegistry;
  let digest: string;
  /** Digest and size of each blob of the image. */
  let blobs: Map<string, number>;
  let large: string;

  let folder: Scratch;
  let tap: Tap;
  let daemon: Daemon;
  let reference: string;

  beforeAll(async () => {
    shared = scratch();
    const layout = shared.join("layout");
    const files = shared.join("files");
    mkdirSync(files);
    writeFileSync(join(files, "large"), randomBytes(largeSize));
    writeLayout(layout, [
      {
        name: "example.com/large:1",
        layers: [
          { tar: busyboxLayer(), compression: "gzip" },
          { tar: tarOfFolder(files), compression: "zstd" },
        ],
        config: { Env: ["PATH=/bin"], Cmd: ["sh"] },
      },
    ]);
    registry = await LocalRegistry.start(shared.join("registry"));
    digest = await registry.push(layout, "large:1");
    const manifest = JSON.parse(readFileSync(join(layout, "blobs", digest.replace(":", "/")), "utf8")) as {
      config: { digest: string; size: number };
      layers: { digest: string; size: number }[];
    };
    large = manifest.layers[1]?.digest ?? "";
    blobs = new Map([manifest.config, ...manifest.layers].map((blob) => [blob.digest, blob.size]));
    blobs.set(digest, Bun.file(join(layout, "blobs", digest.replace(":", "/"))).size);
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    shared[Symbol.dispose]();
  });

  beforeEach(async () => {
    folder = scratch();
    tap = await Tap.open(registry.host);
    reference = `${tap.host}/large:1`;
    daemon = await startHull(folder.path);
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
    await tap[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const ctr = (...args: string[]) => runProgram(["ctr", "--address", daemon.address, ...args]);
  const pullByCtr = () => ctr("images", "pull", "--plain-http", reference);

  /** What ctr logs if its drawing of the progress is ended in the middle of a call. */
  const endedProgress = /^time=\S+ level=error msg="failed to get content info" error="context canceled"\n/m;

  /** Without the progress that ctr prints on the way. */
  async function statusAndErrors(outcome: Promise<Outcome>): Promise<[number, string]> {
    const { status, stderr } = await outcome;
    return [status, stderr.replace(endedProgress, "")];
  }

  /** The image is what was pushed, and each blob's file has the bytes that its name says. */
  async function expectWhole({ leases = /^$/ } = {}): Promise<void> {
    const { stdout } = await ctr("images", "ls");
    expect(stdout).toContain(`${reference} `);
    expect(stdout).toContain(digest);
    for (const [blob, size] of blobs) {
      const file = Bun.file(join(daemon.root, "io.containerd.content.v1.content", "blobs", blob.replace(":", "/")));
      expect(file.size).toBe(size);
      const hasher = new Bun.CryptoHasher("sha256");
      for await (const chunk of file.stream()) hasher.update(chunk);
      expect(`sha256:${hasher.digest("hex")}`).toBe(blob);
    }
    expect((await ctr("content", "ls", "-q")).stdout.trim().split("\n").sort()).toEqual([...blobs.keys()].sort());
    expect((await ctr("images", "check", "-q")).stdout.trim()).toBe(reference);
    expect((await ctr("leases", "ls", "-q")).stdout).toMatch(leases);
  }

  /** Where the bytes of the large layer were asked from. */
  const froms = () => tap.of(large).map(({ from }) => from);

  const own = (...args: string[]) => runProgram([...hullCommand, "ctr", "--address", daemon.address, ...args]);

  test("by our own ctr, showing what went to the registry and back", async () => {
    const { status, stderr } = await own("images", "pull", "--plain-http", "--http-dump", reference);
    expect({ status }).toEqual({ status: 0 });
    expect(stderr).toContain(`HEAD /v2/large/manifests/1 HTTP/1.1\r\nHost: ${tap.host}\r\n`);
    expect(stderr).toContain(`HTTP/1.1 200 OK\r\n`);
    // The manifest is text, layers are only counted.
    expect(stderr).toContain(`"digest":"${large}"`);
    expect(stderr).toMatch(/\(6\d{7} bytes\)/);
    await expectWhole();
  });

  test("by our own ctr, manifests and configs alone", async () => {
    const { status, stderr } = await own("content", "fetch", "--plain-http", "--metadata-only", reference);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(tap.of(large)).toEqual([]);
    expect((await ctr("content", "ls", "-q")).stdout.trim().split("\n")).toHaveLength(2);
    expect((await ctr("images", "ls", "-q")).stdout).toBe(`${reference}\n`);
  });

  test("by our own ctr, so many layers at a time as it says", async () => {
    const pull = (count: string) =>
      own("images", "pull", "--plain-http", "--max-concurrent-downloads", count, reference);
    expect((await pull("0")).stderr).toContain('"max-concurrent-downloads=0" in hull-transfer-options is no option');
    expect((await pull("1")).status).toBe(0);
    await expectWhole();
  });

  test("by ctr, which fetches: the image is whole, and runs", async () => {
    expect(await statusAndErrors(pullByCtr())).toEqual([0, ""]);
    await expectWhole();
    const ran = await ctr("run", "--rm", reference, "one", "stat", "-c", "%s", "/large");
    expect(ran).toEqual({ status: 0, stdout: `${largeSize}\n`, stderr: "" });
  });

  test("by the daemon: the image is whole, runs, and each blob was asked for once", async () => {
    await pullByDaemon(daemon.address, reference);
    await expectWhole();
    for (const blob of blobs.keys()) expect(tap.of(blob)).toHaveLength(1);
    const ran = await ctr("run", "--rm", reference, "one", "stat", "-c", "%s", "/large");
    expect(ran).toEqual({ status: 0, stdout: `${largeSize}\n`, stderr: "" });
    // A second pull has nothing to fetch.
    await pullByDaemon(daemon.address, reference);
    for (const blob of blobs.keys()) expect(tap.of(blob)).toHaveLength(1);
  });

  test("the registry is killed amid the large layer and started again: the same pull ends whole", async () => {
    const reached = tap.holdAfter(holdAt);
    const pull = pullByDaemon(daemon.address, reference);
    await reached;
    await registry.kill();
    tap.release();
    await registry.start();
    await pull;
    await expectWhole();
    const [first, second] = froms();
    expect(first).toBe(0);
    expect(second).toBeGreaterThan(holdAt - onTheWay);
    expect(tap.received).toBeLessThan(largeSize + 3 * MiB + onTheWay);
  });

  test("a ctr whose registry dies fails, and its next try ends whole", async () => {
    const reached = tap.holdAfter(holdAt);
    const pull = pullByCtr();
    await reached;
    await registry.kill();
    tap.release();
    expect((await pull).status).not.toBe(0);
    await registry.start();
    expect(await statusAndErrors(pullByCtr())).toEqual([0, ""]);
    await expectWhole();
  });

  for (const [name, command] of [
    ["ctr", () => ["ctr", "--address", daemon.address, "images", "pull", "--plain-http", reference]],
    [
      "a client of the transfer service",
      () => [process.execPath, join(import.meta.dir, "..", "support", "transfer.ts"), daemon.address, reference],
    ],
  ] as const)
    for (const signal of ["SIGKILL", "SIGINT"] as const)
      test(`${name} gets ${signal} amid the large layer: the next pull goes on from there`, async () => {
        const reached = tap.holdAfter(holdAt);
        const client = Bun.spawn(command(), { stdout: "ignore", stderr: "ignore" });
        await reached;
        client.kill(signal);
        await client.exited;
        tap.release();
        await pullByDaemon(daemon.address, reference);
        // A client's own lease is the client's to delete, or its time's to end.
        await expectWhole(name === "ctr" ? { leases: /^\S+\n$/ } : {});
        expect(froms().at(-1)).toBeGreaterThan(holdAt - onTheWay);
        expect(tap.received).toBeLessThan(largeSize + 3 * MiB + onTheWay);
      });

  test("the daemon is killed amid the large layer: the next pull goes on from there", async () => {
    const reached = tap.holdAfter(holdAt);
    const pull = pullByDaemon(daemon.address, reference);
    pull.catch(() => undefined);
    await reached;
    await daemon.stop("SIGKILL");
    tap.release();
    await expect(pull).rejects.toThrow();
    daemon = await startHull(folder.path);
    await pullByDaemon(daemon.address, reference);
    await expectWhole();
    expect(froms().at(-1)).toBeGreaterThan(holdAt - onTheWay);
    expect(existsSync(join(daemon.root, "io.containerd.content.v1.content", "ingest"))).toBe(true);
  });

  test("two pulls at the same time share the work; one that gives up leaves the other its way", async () => {
    const abort = new AbortController();
    const reached = tap.holdAfter(holdAt);
    const one = pullByDaemon(daemon.address, reference, { signal: abort.signal });
    const two = pullByDaemon(daemon.address, reference);
    await reached;
    abort.abort();
    await expect(one).rejects.toThrow();
    tap.release();
    await two;
    await expectWhole();
    expect(tap.received).toBeLessThan(largeSize + 3 * MiB + onTheWay);
  });

  test("a registry that stays away is an error that names it; nothing is left to prevent the next pull", async () => {
    const nobody = await Tap.open("127.0.0.1:1");
    try {
      await expect(pullByDaemon(daemon.address, `${nobody.host}/large:1`)).rejects.toThrow(`${nobody.host}/v2/large`);
    } finally {
      await nobody[Symbol.asyncDispose]();
    }
    await expect(pullByDaemon(daemon.address, `${tap.host}/missing:1`)).rejects.toThrow("missing/manifests/1");
    await pullByDaemon(daemon.address, reference);
    await expectWhole();
  });
});
