import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ImageServiceDefinition } from "@hull/api/gen/cri/v1/cri";
import { inMemoryClient } from "@hull/api/memory";
import type { ServiceClient } from "@hull/api/rpc";
import { contextFor } from "@hull/engine/context";
import { LocalEventExchange } from "@hull/engine/events/exchange";
import { silent } from "@hull/engine/log";
import { noise, openTestRegistry, type TestRegistry } from "@hull/engine/registry/fixture";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import { makeImage, type TestImage, TransferFixture, tar } from "@hull/engine/transfer/fixture";
import { chainId } from "@hull/oci/digest";
import { mediaTypes } from "@hull/oci/media-types";
import { formatPlatform, hostPlatform } from "@hull/oci/platform";
import { imagesTable } from "../config.ts";
import { layerId } from "../stats/layers.ts";
import { CriImages, imageService, type PullState } from "./index.ts";

const root = process.getuid?.() === 0;
const reason = root ? "" : " (skipped: unpacking needs root)";
const ctx = contextFor("k8s.io");

const image = makeImage([tar({ name: "one", content: noise(200_000) }), tar({ name: "two", content: "2" })]);
const other = makeImage([tar({ name: "three", content: "3" })]);

function serve(registry: TestRegistry, { blobs, manifest }: TestImage, ...tags: string[]): void {
  for (const [digest, bytes] of blobs) registry.blobs.set(digest, bytes);
  const bytes = blobs.get(manifest.digest) ?? new Uint8Array();
  for (const name of [...tags, manifest.digest]) registry.manifests.set(name, { mediaType: manifest.mediaType, bytes });
}

describe.skipIf(!root)(`images of pods${reason}`, () => {
  let registry: TestRegistry;
  let fixture: TransferFixture;
  let events: LocalEventExchange;
  let images: CriImages;
  let client: ServiceClient<ImageServiceDefinition>;
  let at: (name: string) => string;
  /** What pulls have told of themselves. */
  let told: (Omit<PullState, "reference"> & { name: string; namespace: string })[];

  async function open(config: object = {}): Promise<void> {
    images?.[Symbol.dispose]();
    images = new CriImages({
      config: imagesTable.parse({ snapshotter: "native", ...config }),
      transfer: fixture.transfer,
      images: fixture.images,
      content: fixture.content,
      events,
      snapshotters: new Map<string, Snapshotter>([
        ["native", fixture.native],
        ["overlayfs", fixture.overlayfs],
      ]),
      rootOf: (name) => `/snapshots/${name}`,
      log: silent,
    });
    await images.load();
    client = inMemoryClient(ImageServiceDefinition, imageService(images, silent));
  }

  beforeEach(async () => {
    registry = await openTestRegistry();
    events = new LocalEventExchange();
    told = [];
    events.observe(({ topic, event, namespace }) => {
      if (topic !== "/image-pulls/progress") return;
      told.push({ namespace, ...JSON.parse(new TextDecoder().decode(event.value)) });
    });
    fixture = new TransferFixture(events);
    at = (name) => `${registry.host}/${name}`;
    await open();
  });
  afterEach(async () => {
    images[Symbol.dispose]();
    await fixture[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  const pull = async (name: string, fields: object = {}) =>
    (await client.pullImage({ image: { image: name }, ...fields })).imageRef;
  const status = async (name: string) => (await client.imageStatus({ image: { image: name } })).image;
  const names = async () => (await fixture.images.list(ctx)).map(({ name }) => name).sort();
  const failure = async (work: Promise<unknown>) =>
    await work.then(
      () => undefined,
      ({ code, message }) => `${code}: ${message}`,
    );
  /** What was told first of each phase of each pull: in a phase that takes long, it is told how far it is. */
  const firstOfEach = () =>
    told.filter(({ name, phase }, at) => told.findIndex((one) => one.name === name && one.phase === phase) === at);
  /** Events are followed by work of their own. */
  const until = async (holds: () => Promise<boolean>) => {
    for (let tries = 0; tries < 4000 && !(await holds()); tries++) await Bun.sleep(5);
  };

  test("records the tag, the digest and the id, and knows the image by each", async () => {
    serve(registry, image, "1", "latest");
    const id = await pull(at("a:1"));
    expect(id).toBe(image.config.digest);
    const byDigest = `${at("a")}@${image.manifest.digest}`;
    expect(await names()).toEqual([at("a:1"), byDigest, id].sort());
    expect((await fixture.images.get(ctx, id)).labels).toEqual({ "io.cri-containerd.image": "managed" });
    const found = await status(at("a:1"));
    const stored = [image.manifest, image.config, ...image.layers].reduce((sum, { size }) => sum + size, 0);
    expect(found).toMatchObject({ id, repoTags: [at("a:1")], repoDigests: [byDigest], size: BigInt(stored) });
    for (const name of [
      id,
      id.slice(7),
      id.slice(7, 20),
      id.slice(0, 19),
      byDigest,
      `${at("a:7")}@${image.manifest.digest}`,
    ])
      expect(await status(name)).toEqual(found);
    for (const name of ["", "zz", "sha256:", image.manifest.digest, at("a"), at("a:2"), "No Reference"])
      expect(await status(name)).toBeUndefined();
    await pull(at("a"));
    expect((await status(id))?.repoTags).toEqual([at("a:1"), at("a:latest")]);
  });

  test("an image pulled by digest has no tag", async () => {
    serve(registry, image, "1");
    const byDigest = `${at("a")}@${image.manifest.digest}`;
    const id = await pull(`${at("a:9")}@${image.manifest.digest}`);
    expect(await status(byDigest)).toMatchObject({ id, repoTags: [], repoDigests: [byDigest] });
  });

  test("the id stays when the tag moves on", async () => {
    serve(registry, image, "1");
    const before = await pull(at("a:1"));
    serve(registry, other, "1");
    const after = await pull(at("a:1"));
    expect(after).toBe(other.config.digest);
    expect(await status(before)).toMatchObject({ repoTags: [], repoDigests: [`${at("a")}@${image.manifest.digest}`] });
    expect((await client.listImages({})).images.map(({ id }) => id).sort()).toEqual([before, after].sort());
  });

  test("lists by reference, and streams the same", async () => {
    serve(registry, image, "1");
    serve(registry, other, "2");
    const [one, two] = [await pull(at("a:1")), await pull(at("b:2"))];
    const listed = async (name: string) =>
      (await client.listImages({ filter: { image: { image: name } } })).images.map(({ id }) => id);
    expect((await listed("")).sort()).toEqual([one, two].sort());
    expect(await listed(at("a:1"))).toEqual([one]);
    expect(await listed(two.slice(7, 30))).toEqual([two]);
    expect(await listed(at("c:1"))).toEqual([]);
    const streamed: string[] = [];
    for await (const message of client.streamImages({})) streamed.push(...message.images.map(({ id }) => id));
    expect(streamed.sort()).toEqual([one, two].sort());
  });

  test("removes all names of an image, whatever the registry; what isn't there is no error", async () => {
    serve(registry, image, "1", "2");
    await pull(at("a:1"));
    await pull(at("b:2"));
    await client.removeImage({ image: { image: "" } });
    await client.removeImage({});
    await client.removeImage({ image: { image: at("c:1") } });
    expect((await client.listImages({})).images).toHaveLength(1);
    await Promise.all([1, 2, 3].map(() => client.removeImage({ image: { image: at("a:1") } })));
    expect((await client.listImages({})).images).toEqual([]);
    expect(await names()).toEqual([]);
  });

  test("pulls of the same share the work; one that has left doesn't end it for the others", async () => {
    serve(registry, image, "1");
    const abort = new AbortController();
    const left = failure(client.pullImage({ image: { image: at("a:1") } }, { signal: abort.signal }));
    const ids = Promise.all([pull(at("a:1")), pull(at("a:1"))]);
    abort.abort();
    expect(await left).toStartWith("canceled: ");
    expect(await ids).toEqual([image.config.digest, image.config.digest]);
    expect(registry.requests.filter(({ line }) => line.startsWith("HEAD"))).toHaveLength(1);
    expect(firstOfEach().map(({ phase }) => phase)).toEqual(["waiting", "resolving", "pulling", "done"]);
  });

  test("a pull that nobody waits for ends, and the next one goes on from there", async () => {
    serve(registry, image, "1");
    const [large] = image.layers;
    registry.faults.push({ when: new RegExp(`GET .*${large?.digest}`), stallAfter: 100_000 });
    const abort = new AbortController();
    const left = failure(client.pullImage({ image: { image: at("a:1") } }, { signal: abort.signal }));
    await until(async () => images.pulling.some(({ fetched }) => fetched >= 100_000));
    abort.abort();
    expect(await left).toStartWith("canceled: ");
    await until(async () => images.pulling.length === 0);
    registry.requests.length = 0;
    expect(await pull(at("a:1"))).toBe(image.config.digest);
    expect(registry.requests.map(({ line }) => line)).toContain(`GET /v2/a/blobs/${large?.digest} bytes=100000-`);
  });

  test("whoever brings other credentials asks for itself", async () => {
    serve(registry, image, "1");
    await Promise.all([pull(at("a:1")), pull(at("a:1"), { auth: { username: "u", password: "p" } })]);
    expect(registry.requests.filter(({ line }) => line.startsWith("HEAD"))).toHaveLength(2);
  });

  test("errors are containerd's", async () => {
    const name = at("no:1");
    expect(await failure(pull(name))).toBe(
      `notFound: failed to pull and unpack image "${name}": failed to resolve reference "${name}": ${name}`,
    );
    const refused = "127.0.0.1:1/no:latest";
    expect(await failure(pull("127.0.0.1:1/no"))).toStartWith(
      `unknown: failed to pull and unpack image "${refused}": failed to resolve reference "${refused}": `,
    );
    expect(await failure(pull(""))).toStartWith(
      'unknown: failed to parse image reference "": invalid reference format',
    );
    const hex = "a".repeat(64);
    expect(await failure(pull(hex))).toBe(
      `unknown: failed to parse image reference "${hex}": invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`,
    );
    expect(await failure(images.get(name))).toBe(`notFound: failed to resolve image "${name}"`);
    expect(told.filter(({ phase }) => phase === "failed").map(({ name }) => name)).toEqual([name, refused]);
  });

  test("gives up when the registry sends nothing any more", async () => {
    await open({ image_pull_progress_timeout: "2s" });
    serve(registry, image, "1");
    registry.faults.push({ when: /GET .*blobs/, stallAfter: 10, times: 20 });
    expect(await failure(pull(at("a:1")))).toBe(
      `canceled: failed to pull and unpack image "${at("a:1")}": nothing came from the registry for 2000 ms (image_pull_progress_timeout)`,
    );
    await until(async () => told.at(-1)?.phase === "failed");
    expect(told.at(-1)?.error).toContain("nothing came");
    expect(images.pulling).toEqual([]);
  });

  test("no more pulls side by side than the node is to take, and each can be watched", async () => {
    await open({ max_concurrent_pulls: 1 });
    serve(registry, image, "1");
    serve(registry, other, "2");
    let watched: unknown;
    registry.handle = () => {
      watched ??= images.pulling.map(({ reference, phase }) => [reference, phase]);
      return undefined;
    };
    await Promise.all([pull(at("a:1")), pull(at("b:2"))]);
    expect(watched).toEqual([
      [at("a:1"), "resolving"],
      [at("b:2"), "waiting"],
    ]);
    const phases = firstOfEach().filter(
      ({ phase, name }) => phase !== "waiting" && (phase !== "resolving" || name === at("b:2")),
    );
    const bytes = ({ manifest, config, layers }: TestImage) =>
      [manifest, config, ...layers].reduce((sum, { size }) => sum + size, 0);
    expect(phases.map(({ namespace, name, phase, received }) => [namespace, name, phase, received])).toEqual([
      ["k8s.io", at("a:1"), "pulling", 0],
      ["k8s.io", at("a:1"), "done", bytes(image)],
      ["k8s.io", at("b:2"), "resolving", 0],
      ["k8s.io", at("b:2"), "pulling", 0],
      ["k8s.io", at("b:2"), "done", bytes(other)],
    ]);
    expect(phases[1]).toMatchObject({ fetched: bytes(image), total: bytes(image), layers: 2, unpacked: 2 });
  });

  test("sees what other clients of the namespace record, and what is there at its start", async () => {
    serve(registry, image, "1");
    const id = await pull(at("a:1"));
    const { target } = await fixture.images.get(ctx, id);
    await fixture.images.create(ctx, { name: "foo:bar", target });
    await until(async () => (await status("foo:bar")) !== undefined);
    expect((await status(id))?.repoTags).toEqual([at("a:1"), "docker.io/library/foo:bar"]);
    expect((await fixture.images.get(ctx, "foo:bar")).labels).toEqual({ "io.cri-containerd.image": "managed" });
    await fixture.images.create(contextFor("elsewhere"), { name: "foo:else", target });
    await fixture.images.delete(ctx, "foo:bar");
    await until(async () => (await status("foo:bar")) === undefined);
    expect((await status(id))?.repoTags).toEqual([at("a:1")]);
    // As if the daemon had ended between two records.
    images[Symbol.dispose]();
    await fixture.images.delete(ctx, id);
    await fixture.images.create(ctx, { name: "broken:1", target: { ...target, digest: `sha256:${"0".repeat(64)}` } });
    await open();
    expect(await names()).toContain(id);
    expect(await status(id)).toMatchObject({ id, repoTags: [at("a:1")] });
    expect(await status("broken:1")).toBeUndefined();
  });

  test("pinned images are labelled and shown so", async () => {
    await open({ pinned_images: { sandbox: at("pause:1") } });
    serve(registry, image, "1");
    serve(registry, other, "2");
    const [one, two] = [await pull(at("pause:1")), await pull(at("a:2"))];
    expect((await status(one))?.pinned).toBe(true);
    expect((await status(two))?.pinned).toBe(false);
    expect((await fixture.images.get(ctx, at("pause:1"))).labels["io.cri-containerd.pinned"]).toBe("pinned");
  });

  test("the image of pause processes is pinned where no configuration names it", async () => {
    serve(registry, image, "1");
    const id = await pull(at("a:1"));
    expect((await status(id))?.pinned).toBe(false);
    const { target } = await fixture.images.get(ctx, id);
    await fixture.images.create(ctx, { name: "registry.k8s.io/pause:3.10.2", target });
    await until(async () => (await status(id))?.pinned === true);
  });

  test("unpacks for the snapshotter of the runtime handler, and later for others", async () => {
    await open({ runtime_platforms: { vm: { snapshotter: "overlayfs" } } });
    serve(registry, image, "1");
    const id = await pull(at("a:1"), { image: { image: at("a:1"), runtimeHandler: "vm" } });
    const top = chainId(image.diffIds);
    const stored = async (snapshotter: Snapshotter) => {
      const keys: string[] = [];
      for await (const { name } of snapshotter.walk(ctx)) keys.push(name);
      return keys;
    };
    expect(await stored(fixture.overlayfs)).toContain(top);
    expect(await stored(fixture.native)).toEqual([]);
    const found = await images.get(id);
    expect(found.chainId).toBe(top);
    expect(await images.unpacked(found, "native")).toBe(top);
    expect(await stored(fixture.native)).toContain(top);
    expect(images.snapshotterOf("vm")).toBe("overlayfs");
    expect(images.snapshotterOf("constructor")).toBe("native");
  });

  test("pulls another platform for a runtime handler that wants it, beside the host's", async () => {
    const foreign = { os: "linux", architecture: hostPlatform().architecture === "s390x" ? "ppc64le" : "s390x" };
    await open({ runtime_platforms: { vm: { platform: formatPlatform(foreign) } } });
    const theirs = makeImage([tar({ name: "theirs", content: "1" })], { platform: foreign });
    for (const each of [image, theirs]) serve(registry, each);
    const manifests = [
      { ...image.manifest, platform: hostPlatform() },
      { ...theirs.manifest, platform: foreign },
    ];
    registry.manifest("1", { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, mediaTypes.ociIndex);
    const forVm = { image: { image: at("a:1"), runtimeHandler: "vm" } };
    expect(await pull(at("a:1"), forVm)).toBe(theirs.config.digest);
    expect((await status(at("a:1")))?.id).toBe(theirs.config.digest);
    expect(await pull(at("a:1"))).toBe(image.config.digest);
    expect(await pull(at("a:1"), forVm)).toBe(theirs.config.digest);
    const check = async () => {
      expect((await status(at("a:1")))?.id).toBe(image.config.digest);
      expect((await status(theirs.config.digest))?.id).toBe(theirs.config.digest);
      expect((await client.listImages({})).images).toHaveLength(2);
    };
    await check();
    await open({ runtime_platforms: { vm: { platform: formatPlatform(foreign) } } });
    await check();
  });

  test("layers are let go once they are unpacked, and aren't fetched again", async () => {
    await open({ discard_unpacked_layers: true });
    serve(registry, image, "1", "2");
    await pull(at("a:1"));
    const { labels } = await fixture.content.info(ctx, image.manifest.digest);
    expect(Object.keys(labels).filter((key) => key.startsWith("containerd.io/gc.ref"))).toEqual([
      "containerd.io/gc.ref.content.config",
    ]);
    const [first, second] = image.layers;
    for (const layer of [first, second]) await fixture.content.delete(ctx, layer?.digest ?? "");
    registry.requests.length = 0;
    expect(await pull(at("a:2"))).toBe(image.config.digest);
    expect(registry.requests.map(({ line }) => line)).toEqual(["HEAD /v2/a/manifests/2"]);
  });

  test("tells what snapshots take on disk", async () => {
    serve(registry, image, "1");
    await pull(at("a:1"));
    await fixture.native.prepare(ctx, "container", chainId(image.diffIds));
    const { imageFilesystems } = await client.imageFsInfo({});
    expect(imageFilesystems.map(({ fsId }) => fsId?.mountpoint)).toEqual(["/snapshots/native"]);
    const [one] = imageFilesystems;
    const taken = async () => {
      let size = 0n;
      for await (const { name } of fixture.native.walk(ctx))
        size += BigInt((await fixture.native.usage(ctx, name)).size);
      return size;
    };
    expect(one?.usedBytes?.value).toBe(await taken());
    const layer = layerId("native", "container");
    expect(images.disk.layers.of(layer).bytes).toBeGreaterThan(0n);
    // What comes and goes is in the next answer that is made.
    await fixture.native.prepare(ctx, "another", chainId(image.diffIds));
    await fixture.native.remove(ctx, "container");
    expect(images.disk.layers.of(layer).at).toBe(0n);
    await Bun.sleep(1100);
    expect((await client.imageFsInfo({})).imageFilesystems[0]?.usedBytes?.value).toBe(await taken());
  });

  test("shows the image's config as containerd does", async () => {
    serve(registry, image, "1");
    await pull(at("a:1"));
    const { info } = await client.imageStatus({ image: { image: at("a:1") }, verbose: true });
    expect(JSON.parse(info.info ?? "")).toMatchObject({
      chainID: chainId(image.diffIds),
      imageSpec: { os: "linux", config: { Cmd: ["/bin/sh"] }, rootfs: { type: "layers", diff_ids: image.diffIds } },
    });
  });
});
