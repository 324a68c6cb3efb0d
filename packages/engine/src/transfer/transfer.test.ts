import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { chainId, type Descriptor, digestOf, mediaTypes } from "@hull/oci";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { contextFor } from "../context.ts";
import { noise, openTestRegistry, type TestRegistry } from "../registry/fixture.ts";
import { defaultHosts, openRegistry } from "../registry/index.ts";
import { whyNoOverlay } from "../snapshots/supports.ts";
import { chunked, type Entry, makeImage, type TestImage, TransferFixture, tar } from "./fixture.ts";
import type { Progress } from "./index.ts";

const root = process.getuid?.() === 0;
const probe = mkdtempSync(join(tmpdir(), "hull-probe-"));
const overlay = root && (await whyNoOverlay(probe)) === undefined;
rmSync(probe, { recursive: true, force: true });

const retry = { attempts: { once: 1, quick: 3, patient: 5 }, pause: 1, maxPause: 5, maxRetryAfter: 1000 };
const client = () => openRegistry({ hosts: defaultHosts({ plainHttp: true }), retry, stallTimeout: 500 });

const file = (name: string, content: string | Uint8Array): Entry => ({ name, content });
const layers = [
  tar({ name: "etc/", type: "directory" }, file("etc/one", "1"), file("etc/gone", "x"), file("big", noise(200_000))),
  tar({ name: "etc/", type: "directory" }, file("etc/two", "2"), file("etc/.wh.gone", "")),
  tar(file("three", noise(100_000, 3))),
];

function serve(registry: TestRegistry, image: TestImage, tag = "1"): Descriptor {
  for (const [digest, bytes] of image.blobs) registry.blobs.set(digest, bytes);
  const bytes = image.blobs.get(image.manifest.digest) ?? new Uint8Array();
  for (const name of [tag, image.manifest.digest])
    registry.manifests.set(name, { mediaType: image.manifest.mediaType, bytes });
  return image.manifest;
}

const blobGets = (registry: TestRegistry, digest: string) =>
  registry.requests.filter(({ line }) => line.startsWith(`GET /v2/a/blobs/${digest}`));

/** What a snapshot shows, mounted for a moment. */
async function shown(fixture: TransferFixture, key: string): Promise<Record<string, string>> {
  const mounts = await fixture.overlayfs.view(fixture.ctx, `view-${key}`, key);
  const target = join(fixture.directory, "mounted");
  mkdirSync(target, { recursive: true });
  mountAll(mounts, target);
  try {
    const files: Record<string, string> = {};
    for (const entry of readdirSync(target, { recursive: true, withFileTypes: true })) {
      if (entry.isFile())
        files[join(entry.parentPath, entry.name).slice(target.length + 1)] = readFileSync(
          join(entry.parentPath, entry.name),
          "latin1",
        );
    }
    return files;
  } finally {
    unmountAll(target);
    await fixture.overlayfs.remove(fixture.ctx, `view-${key}`);
  }
}

describe("pull", () => {
  test("fetches, labels and records, and holds no lease afterwards", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    const image = makeImage(layers);
    const target = serve(registry, image);
    const events: Progress[] = [];
    const reference = `${registry.host}/a:1`;
    const record = await fixture.transfer.pull(fixture.ctx, client(), reference, {
      labels: { own: "1" },
      progress: (event) => events.push(event),
    });
    expect(record).toMatchObject({ name: reference, target, labels: { own: "1" } });
    const { labels } = await fixture.content.info(fixture.ctx, target.digest);
    expect(labels).toEqual({
      "containerd.io/gc.ref.content.config": image.config.digest,
      "containerd.io/gc.ref.content.l.0": image.layers[0]?.digest ?? "",
      "containerd.io/gc.ref.content.l.1": image.layers[1]?.digest ?? "",
      "containerd.io/gc.ref.content.l.2": image.layers[2]?.digest ?? "",
      "containerd.io/distribution.source.127.0.0.1": "a",
    });
    expect(await fixture.leases.list(fixture.ctx)).toEqual([]);
    expect(await fixture.content.listStatuses(fixture.ctx)).toEqual([]);
    expect(events[0]).toEqual({ event: "resolving", name: reference });
    expect(events.at(-1)).toEqual({ event: "done", name: reference });
    for (const layer of image.layers)
      expect(
        events.some(
          (event) =>
            event.event === "complete" && event.name === `layer-${layer.digest}` && event.progress === layer.size,
        ),
      ).toBe(true);
    registry.requests.length = 0;
    await fixture.transfer.pull(fixture.ctx, client(), reference);
    expect(registry.requests.map(({ line }) => line)).toEqual(["HEAD /v2/a/manifests/1"]);
    expect((await fixture.images.get(fixture.ctx, reference)).labels).toEqual({ own: "1" });
  });

  test("takes the host's manifest of an index, all of them, or says which there are", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    const host = makeImage(layers.slice(0, 1));
    const other = makeImage(layers.slice(2), { platform: { os: "linux", architecture: "s390x" } });
    for (const image of [host, other]) serve(registry, image, "x");
    registry.manifest(
      "2",
      {
        schemaVersion: 2,
        manifests: [
          { ...other.manifest, platform: { os: "linux", architecture: "s390x" } },
          host.manifest, // says no platform: its config does
        ],
      },
      mediaTypes.ociIndex,
    );
    const reference = `${registry.host}/a:2`;
    await fixture.transfer.pull(fixture.ctx, client(), reference);
    expect(await fixture.blobs()).toContain(host.layers[0]?.digest ?? "");
    expect(await fixture.blobs()).not.toContain(other.layers[0]?.digest ?? "");
    await fixture.transfer.pull(fixture.ctx, client(), reference, { platforms: "all" });
    expect(await fixture.blobs()).toContain(other.layers[0]?.digest ?? "");
    await using limited = new TransferFixture();
    await limited.transfer.pull(limited.ctx, client(), reference, { platforms: "all", manifestLimit: 1 });
    expect(await limited.blobs()).toContain(other.layers[0]?.digest ?? "");
    expect(await limited.blobs()).not.toContain(host.layers[0]?.digest ?? "");
    const wanted = { os: "plan9", architecture: "arm" };
    await expect(fixture.transfer.pull(fixture.ctx, client(), reference, { platforms: [wanted] })).rejects.toThrow(
      "it has linux/s390x",
    );
  });

  test("goes on where an interrupted one stopped, and an abort leaves what came", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    const image = makeImage([tar(file("big", noise(3_000_000)))]);
    const target = serve(registry, image);
    const [layer] = image.layers;
    if (layer === undefined) throw new Error("no layer");
    registry.faults.push({ when: /GET .*blobs/, times: 0 }, { when: new RegExp(layer.digest), stallAfter: 2_000_000 });
    const controller = new AbortController();
    const patient = openRegistry({ hosts: defaultHosts({ plainHttp: true }), retry, stallTimeout: 60_000 });
    const pending = fixture.transfer.pull(
      contextFor("test", { signal: controller.signal }),
      patient,
      `${registry.host}/a:1`,
      {
        progress: ({ name, progress = 0 }) => {
          if (name.startsWith("layer-") && progress > 100_000) setTimeout(() => controller.abort(), 150);
        },
      },
    );
    await expect(pending).rejects.toMatchObject({ code: "canceled" });
    expect(await fixture.leases.list(fixture.ctx)).toHaveLength(1);
    expect(await fixture.images.list(fixture.ctx)).toEqual([]);
    const [ingest] = await fixture.content.listStatuses(fixture.ctx);
    expect(ingest?.ref).toBe(`layer-${layer.digest}`);
    expect(ingest?.offset).toBeGreaterThan(0);
    await fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:1`);
    expect(blobGets(registry, layer.digest).at(-1)?.headers.range).toBe(`bytes=${ingest?.offset}-`);
    expect((await fixture.images.list(fixture.ctx))[0]?.target).toEqual(target);
    expect(await fixture.leases.list(fixture.ctx)).toEqual([]);
  });

  test("two at the same time fetch each blob once", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    const image = makeImage(layers);
    serve(registry, image, "1");
    serve(registry, image, "2");
    await Promise.all(
      ["1", "2", "1"].map((tag) => fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:${tag}`)),
    );
    for (const layer of image.layers) expect(blobGets(registry, layer.digest)).toHaveLength(1);
    expect(await fixture.images.list(fixture.ctx)).toHaveLength(2);
  });

  test("a layer of other bytes is an error that names it, and leaves nothing", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    const image = makeImage(layers);
    serve(registry, image);
    const [layer] = image.layers;
    if (layer === undefined) throw new Error("no layer");
    registry.blobs.set(layer.digest, noise(layer.size, 9));
    const pulled = fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:1`);
    await expect(pulled).rejects.toMatchObject({
      code: "invalidArgument",
      message: expect.stringContaining(layer.digest),
    });
    expect(await fixture.images.list(fixture.ctx)).toEqual([]);
    expect(await fixture.leases.list(fixture.ctx)).toEqual([]);
    expect((await fixture.content.listStatuses(fixture.ctx)).map(({ ref }) => ref)).not.toContain(
      `layer-${layer.digest}`,
    );
  });

  test("what is no image", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    registry.manifest("text", { a: 1 }, "text/html");
    await expect(fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:text`)).rejects.toThrow(
      '"text/html"',
    );
    await expect(fixture.transfer.pull(fixture.ctx, client(), "Bad Ref")).rejects.toMatchObject({
      code: "invalidArgument",
    });
    await expect(fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:none`)).rejects.toMatchObject({
      code: "notFound",
    });
  });
});

describe.skipIf(!overlay)("unpack (needs root and overlayfs)", () => {
  for (const snapshotter of ["overlayfs", "native"]) {
    test(`with ${snapshotter}: snapshots by chain id, labels, and nothing twice`, async () => {
      await using registry = await openTestRegistry();
      await using fixture = new TransferFixture();
      const image = makeImage(layers);
      serve(registry, image);
      const options = { unpack: { snapshotter } };
      await fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:1`, options);
      const top = chainId(image.diffIds);
      expect(await fixture.snapshots()).toHaveLength(3);
      expect(await fixture.snapshots()).toContain(top);
      expect(
        (await fixture.content.info(fixture.ctx, image.config.digest)).labels[
          `containerd.io/gc.ref.snapshot.${snapshotter}`
        ],
      ).toBe(top);
      for (const [index, layer] of image.layers.entries())
        expect((await fixture.content.info(fixture.ctx, layer.digest)).labels["containerd.io/uncompressed"]).toBe(
          image.diffIds[index],
        );
      expect(fixture.applied.filter((entry) => entry.endsWith("rebase"))).toHaveLength(
        snapshotter === "overlayfs" ? 2 : 0,
      );
      expect(await fixture.transfer.unpack(fixture.ctx, image.manifest, { snapshotter })).toBe(top);
      expect(fixture.applied).toHaveLength(3);
      if (snapshotter === "native") return;
      const files = await shown(fixture, top);
      expect(Object.keys(files).sort()).toEqual(["big", "etc/one", "etc/two", "three"]);
    });
  }

  test("of all platforms that are fetched the one that is said, or the host's", async () => {
    await using registry = await openTestRegistry();
    const foreign = { os: "linux", architecture: "s390x" };
    const host = makeImage(layers.slice(0, 1));
    const other = makeImage(layers.slice(2), { platform: foreign });
    for (const image of [host, other]) serve(registry, image, "x");
    const index = { schemaVersion: 2, manifests: [{ ...other.manifest, platform: foreign }, host.manifest] };
    registry.manifest("2", index, mediaTypes.ociIndex);
    for (const { platform, image } of [
      { platform: foreign, image: other },
      { platform: undefined, image: host },
    ]) {
      await using fixture = new TransferFixture();
      const unpack = { snapshotter: "overlayfs", ...(platform && { platform }) };
      await fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:2`, { platforms: "all", unpack });
      expect(await fixture.snapshots()).toEqual([chainId(image.diffIds)]);
    }
  });

  test("a hard link into a lower layer is unpacked on top of it", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    const image = makeImage([tar(file("below", "text")), tar({ name: "alias", type: "hardlink", linkName: "below" })]);
    serve(registry, image);
    await fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:1`, {
      unpack: { snapshotter: "overlayfs" },
    });
    expect(await shown(fixture, chainId(image.diffIds))).toEqual({ below: "text", alias: "text" });
  });

  test("a layer that isn't what the config says leaves no snapshot that isn't committed, and no image", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    const wrong = digestOf("wrong");
    const image = makeImage(layers, { diffIds: [digestOf(layers[0] ?? ""), wrong, digestOf(layers[2] ?? "")] });
    serve(registry, image);
    const pulled = fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:1`, {
      unpack: { snapshotter: "overlayfs" },
    });
    await expect(pulled).rejects.toThrow(
      `unpacks to "${digestOf(layers[1] ?? "")}", but the image's config says "${wrong}"`,
    );
    for (const name of await fixture.snapshots()) expect(name).toBe(image.diffIds[0] ?? "");
    expect(await fixture.images.list(fixture.ctx)).toEqual([]);
  });

  test("counts that differ, and corrupt layers", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    serve(registry, makeImage(layers, { diffIds: [digestOf("x")] }), "few");
    const broken = makeImage([tar(file("a", "a")), Buffer.from("no tar at all")]);
    serve(registry, broken, "broken");
    for (const [tag, text] of Object.entries({ few: "has 3 layers, but its config", broken: "can't be unpacked" }))
      await expect(
        fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:${tag}`, {
          unpack: { snapshotter: "overlayfs" },
        }),
      ).rejects.toThrow(text);
    expect((await fixture.snapshots()).filter((name) => name.startsWith("extract-"))).toEqual([]);
  });

  test("two pulls with layers in common unpack each of those once", async () => {
    await using registry = await openTestRegistry();
    await using fixture = new TransferFixture();
    const base = layers.slice(0, 2);
    serve(registry, makeImage([...base, tar(file("x", "x"))]), "x");
    serve(registry, makeImage([...base, tar(file("y", "y"))]), "y");
    await Promise.all(
      ["x", "y"].map((tag) =>
        fixture.transfer.pull(fixture.ctx, client(), `${registry.host}/a:${tag}`, {
          unpack: { snapshotter: "overlayfs" },
        }),
      ),
    );
    expect(fixture.applied).toHaveLength(4);
    expect(await fixture.snapshots()).toHaveLength(4);
  });
});

describe("import", () => {
  const layoutOf = (image: TestImage, annotations: Record<string, string>, extra: Entry[] = []): Entry[] => [
    file("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
    file("index.json", JSON.stringify({ schemaVersion: 2, manifests: [{ ...image.manifest, annotations }] })),
    ...[...image.blobs].map(([digest, bytes]) => file(`./blobs/sha256/${digest.slice(7)}`, bytes)),
    ...extra,
  ];
  const named = (name: string) => ({ "io.containerd.image.name": name });

  test("an OCI layout, plain and compressed, by its names", async () => {
    await using fixture = new TransferFixture();
    const image = makeImage(layers);
    const archive = tar(...layoutOf(image, named("example.com/a:1")));
    for (const bytes of [archive, gzipSync(archive), zstdCompressSync(archive)]) {
      const [record] = await fixture.transfer.import(fixture.ctx, chunked(bytes));
      expect(record).toMatchObject({ name: "example.com/a:1", target: image.manifest });
    }
    for (const digest of image.blobs.keys()) expect(await fixture.blobs()).toContain(digest);
    expect(Object.keys((await fixture.content.info(fixture.ctx, image.manifest.digest)).labels)).toContain(
      "containerd.io/gc.ref.content.l.2",
    );
    expect(await fixture.leases.list(fixture.ctx)).toEqual([]);
  });

  test("names: a tag with a base name, digests, the index", async () => {
    await using fixture = new TransferFixture();
    const image = makeImage(layers);
    const archive = tar(...layoutOf(image, { "org.opencontainers.image.ref.name": "v1" }));
    const names = async (options: object) =>
      (await fixture.transfer.import(fixture.ctx, chunked(archive), options)).map(({ name }) => name);
    expect(await names({})).toEqual([]);
    expect(await names({ baseName: "example.com/a" })).toEqual(["example.com/a:v1"]);
    expect(await names({ digestPrefix: "imported", indexName: "whole" })).toEqual([
      "whole",
      `imported@${image.manifest.digest}`,
    ]);
    expect((await fixture.images.get(fixture.ctx, "whole")).target.mediaType).toBe(mediaTypes.ociIndex);
  });

  test("what docker save writes, new and old, with links", async () => {
    await using fixture = new TransferFixture();
    const config = JSON.stringify({
      os: "linux",
      architecture: "amd64",
      rootfs: { type: "layers", diff_ids: layers.slice(0, 2).map((l) => digestOf(l)) },
    });
    const name = digestOf(config).slice(7);
    const description = [
      { Config: `${name}.json`, RepoTags: ["busybox:1", "example.com/x"], Layers: ["a/layer.tar", "b/layer.tar"] },
    ];
    const archive = tar(
      file("a/layer.tar", layers[0] ?? ""),
      file("c/layer.tar", gzipSync(layers[1] ?? "")),
      { name: "b/layer.tar", type: "symlink", linkName: "../c/layer.tar" },
      file(`${name}.json`, config),
      file("manifest.json", JSON.stringify(description)),
    );
    const records = await fixture.transfer.import(fixture.ctx, chunked(archive));
    expect(records.map((record) => record.name)).toEqual(["docker.io/library/busybox:1", "example.com/x:latest"]);
    expect(records[0]?.target).toMatchObject({
      mediaType: mediaTypes.dockerManifest,
      platform: { os: "linux", architecture: "amd64" },
    });
    const manifest = JSON.parse(await bytesOf(fixture, records[0]?.target.digest ?? ""));
    expect(manifest.layers.map((layer: Descriptor) => layer.mediaType)).toEqual([
      mediaTypes.dockerLayer,
      mediaTypes.dockerLayerGzip,
    ]);
    expect(manifest.config.digest).toBe(digestOf(config));
  });

  test("what is cut off, damaged, incomplete or something else is refused, and records nothing", async () => {
    await using fixture = new TransferFixture();
    const image = makeImage(layers);
    const archive = tar(...layoutOf(image, named("a/b:1")));
    const [first = ""] = image.blobs.keys();
    const without = layoutOf(
      { ...image, blobs: new Map([...image.blobs].filter(([digest]) => digest !== first)) },
      named("a/b:1"),
    );
    const wrong = [...without, file(`blobs/sha256/${first.slice(7)}`, "other bytes")];
    const cases: Record<string, Uint8Array> = {
      "cut off": archive.subarray(0, archive.length - 150_000),
      "damaged or cut off": gzipSync(archive).subarray(0, 100_000),
      "holds other bytes than its name says": tar(...wrong),
      "the archive is incomplete": tar(...without),
      "neither an OCI layout": tar(file("readme", "hello")),
      "empty or no tar archive": tar(),
      "layout version": tar(...without, file("oci-layout", '{"imageLayoutVersion":"9"}')),
      "is not JSON": tar(file("oci-layout", '{"imageLayoutVersion":"1.0.0"}'), file("index.json", "{")),
      'no "index.json"': tar(file("oci-layout", '{"imageLayoutVersion":"1.0.0"}')),
      "malformed: ": tar(file("manifest.json", "{}")),
      '"x.json" is missing': tar(file("manifest.json", '[{"Config":"x.json"}]')),
    };
    for (const [message, bytes] of Object.entries(cases)) {
      const thrown = await fixture.transfer.import(fixture.ctx, chunked(bytes)).catch((error: Error) => error);
      expect([message, (thrown as { code?: string }).code]).toEqual([message, "invalidArgument"]);
      expect(String(thrown)).toContain(message);
    }
    expect(await fixture.images.list(fixture.ctx)).toEqual([]);
    expect(await fixture.leases.list(fixture.ctx)).toEqual([]);
    expect(await fixture.content.listStatuses(fixture.ctx)).toEqual([]);
  });

  test("paths that lead out are only names", async () => {
    await using fixture = new TransferFixture();
    const image = makeImage(layers);
    const evil = [
      file("../../escape", "x"),
      file("/etc/hull-escape", "x"),
      { name: "l", type: "symlink", linkName: "../../../etc/passwd" } as Entry,
    ];
    const archive = tar(...layoutOf(image, named("a/b:1"), evil));
    expect(await fixture.transfer.import(fixture.ctx, chunked(archive))).toHaveLength(1);
    expect(existsSync("/etc/hull-escape")).toBe(false);
  });

  test("an abort in the middle records nothing", async () => {
    await using fixture = new TransferFixture();
    const archive = tar(...layoutOf(makeImage(layers), named("a/b:1")));
    const controller = new AbortController();
    async function* slow() {
      for await (const chunk of chunked(archive)) {
        yield chunk;
        controller.abort();
      }
    }
    await expect(
      fixture.transfer.import(contextFor("test", { signal: controller.signal }), slow()),
    ).rejects.toMatchObject({ code: "canceled" });
    expect(await fixture.images.list(fixture.ctx)).toEqual([]);
  });

  test.skipIf(!overlay)("with unpacking (needs root and overlayfs)", async () => {
    await using fixture = new TransferFixture();
    const image = makeImage(layers);
    const archive = tar(...layoutOf(image, named("a/b:1")));
    await fixture.transfer.import(fixture.ctx, chunked(archive), { unpack: { snapshotter: "overlayfs" } });
    expect(await fixture.snapshots()).toContain(chainId(image.diffIds));
  });
});

async function bytesOf(fixture: TransferFixture, digest: string): Promise<string> {
  let text = "";
  for await (const chunk of fixture.content.read(fixture.ctx, digest)) text += Buffer.from(chunk).toString();
  return text;
}

const registryBinary = Bun.which("docker-registry");

test.skipIf(registryBinary === null)(
  "a real registry, killed and started again in the middle of a pull (needs docker-registry)",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "hull-registry-"));
    const storage = join(directory, "storage");
    let server: ReturnType<typeof Bun.spawn> | undefined;
    try {
      const image = makeImage([tar(file("big", noise(40_000_000)))]);
      // The registry's own layout on disk, so that no client has to push.
      const repository = join(storage, "docker/registry/v2/repositories/a");
      const put = (path: string, bytes: string | Uint8Array) => {
        mkdirSync(join(path, ".."), { recursive: true });
        writeFileSync(path, bytes);
      };
      for (const [digest, bytes] of image.blobs) {
        const hex = digest.slice(7);
        put(join(storage, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data"), bytes);
        put(join(repository, "_layers/sha256", hex, "link"), digest);
      }
      const hex = image.manifest.digest.slice(7);
      put(join(repository, "_manifests/revisions/sha256", hex, "link"), image.manifest.digest);
      put(join(repository, "_manifests/tags/1/current/link"), image.manifest.digest);
      const probe = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
      const { port } = probe;
      await probe.stop(true);
      const host = `127.0.0.1:${port}`;
      put(
        join(directory, "config.yml"),
        `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${storage}}}\nhttp: {addr: "${host}"}\n`,
      );
      const start = () =>
        Bun.spawn([registryBinary ?? "", "serve", join(directory, "config.yml")], {
          stdio: ["ignore", "ignore", "ignore"],
        });
      server = start();
      await using fixture = new TransferFixture();
      let killed = false;
      const patient = openRegistry({
        hosts: defaultHosts({ plainHttp: true }),
        retry: { ...retry, attempts: { once: 1, quick: 40, patient: 40 }, pause: 20, maxPause: 100 },
      });
      const pulled = fixture.transfer.pull(fixture.ctx, patient, `${host}/a:1`, {
        progress: ({ name, progress = 0 }) => {
          if (killed || !name.startsWith("layer-") || progress < 1_000_000) return;
          killed = true;
          server?.kill("SIGKILL");
          server = start();
        },
      });
      expect((await pulled).target.digest).toBe(image.manifest.digest);
      expect(killed).toBe(true);
      for (const digest of image.blobs.keys()) await fixture.content.verify(fixture.ctx, digest);
      expect(statSync(storage).isDirectory()).toBe(true);
    } finally {
      server?.kill("SIGKILL");
      await server?.exited;
      rmSync(directory, { recursive: true, force: true });
    }
  },
  120_000,
);
