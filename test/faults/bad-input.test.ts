/** Bad input gets a clear error and changes nothing, whether the real ctr brings it or a client of the transfer service. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { connect } from "@hull/client/client";
import { importImages } from "@hull/client/transfer";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { badImage, digestOf, type Flaws } from "../support/bad-image.ts";
import type { Daemon } from "../support/containerd.ts";
import { noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import type { Outcome } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { ctrIn, type StoreState, storeState } from "../support/store-state.ts";

setDefaultTimeout(60_000);

const suite = noContainerd === undefined ? describe : describe.skip;
const busybox = "docker.io/library/busybox:latest";
const bad = "example.com/bad:1";

suite(`bad input${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  let folder: Scratch;
  let namespace: string;
  let daemon: Daemon;
  let before: StoreState;

  beforeAll(async () => {
    folder = scratch();
    namespace = basename(folder.path);
    daemon = await startHull(folder.path);
    writeBusyboxImage(folder.join("busybox.tar"), busybox);
    expect((await ctr("images", "import", folder.join("busybox.tar"))).status).toBe(0);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    removeCgroup(cgroupAt(`/${namespace}`));
    folder[Symbol.dispose]();
  });
  beforeEach(async () => {
    before = await storeState(daemon, namespace);
  });
  afterEach(async () => {
    expect(await storeState(daemon, namespace)).toEqual(before);
    expect(daemon.log()).not.toMatch(/uncaught exception|unhandled rejection/);
  });

  const ctr = (...args: string[]): Promise<Outcome> => ctrIn(daemon, namespace, ...args);

  /** Imports and unpacks by the daemon. Gives the error's message. */
  async function importByDaemon(archive: Uint8Array): Promise<string> {
    await using client = await connect({ address: daemon.address, namespace });
    const chunks = async function* () {
      for (let at = 0; at < archive.length; at += 65_536) yield archive.subarray(at, at + 65_536);
    };
    return await importImages(client, chunks(), { unpack: "overlayfs" }).then(
      () => "no error",
      (error: Error) => error.message,
    );
  }

  /** Imports and unpacks by ctr. What ctr itself records before it unpacks is taken away again. Gives the error's text. */
  async function importByCtr(archive: Uint8Array): Promise<string> {
    const file = folder.join("bad.tar");
    writeFileSync(file, archive);
    const { status, stderr } = await ctr("images", "import", file);
    const { stdout } = await ctr("images", "ls", "-q");
    for (const name of stdout.split("\n").filter(Boolean)) if (name !== busybox) await ctr("images", "rm", name);
    return status === 0 ? "no error" : stderr;
  }

  const deep = (levels: number) => new TextEncoder().encode(`${"[".repeat(levels)}${"]".repeat(levels)}`);
  const flip = (bytes: Uint8Array, at: number): Uint8Array => {
    const flipped = Uint8Array.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ 0x10;
    return flipped;
  };

  // What the daemon says, and what ctr does where that is by the client's own checks in other words.
  const cases: [name: string, flaws: Flaws, daemonSays: RegExp, ctrSays?: RegExp][] = [
    ["a layer with a flipped bit", { layer: (bytes) => flip(bytes, bytes.length >> 1) }, /layer "sha256:[0-9a-f]{64}"/],
    [
      "a layer that is cut off",
      { layer: (bytes) => bytes.subarray(0, bytes.length - 20) },
      /layer "sha256:[0-9a-f]{64}"/,
    ],
    [
      "a layer other than the config says",
      { config: (config) => ({ ...config, rootfs: { type: "layers", diff_ids: [digestOf(new Uint8Array())] } }) },
      /unpacks to "sha256:/,
      /wrong diff id calculated/,
    ],
    [
      "a blob of other bytes than its name says",
      {
        files: (files, { layer }) => {
          const path = `blobs/${layer.replace(":", "/")}`;
          files.set(path, flip(files.get(path) ?? new Uint8Array(), 30));
        },
      },
      /"blobs\/sha256\/[0-9a-f]{64}" in the archive holds other bytes/,
      /content digest sha256:.*not found/,
    ],
    [
      "a layer that is larger than the manifest says",
      { layerDescriptor: (layer) => ({ ...layer, size: 10 }) },
      /size|bytes/,
    ],
    [
      "a layer that is smaller than the manifest says",
      { layerDescriptor: (layer) => ({ ...layer, size: layer.size + 1 }) },
      /size|bytes/,
    ],
    ["an absurd size", { layerDescriptor: (layer) => ({ ...layer, size: 2 ** 60 }) }, /size/],
    ["a negative size", { layerDescriptor: (layer) => ({ ...layer, size: -1 }) }, /size/],
    ["a size that is no number", { layerDescriptor: (layer) => ({ ...layer, size: "many" }) }, /size/],
    ["a path that climbs", { entries: [{ name: "../../../../../../../tmp/hull-escaped", content: "x" }] }, /leads out/],
    [
      "a hard link that climbs",
      { entries: [{ name: "passwd", type: "hardlink", linkName: "../../../../../../../etc/passwd" }] },
      /leads out/,
    ],
    [
      "a hard link through a symbolic link",
      {
        entries: [
          { name: "etc", type: "symlink", linkName: "/etc" },
          { name: "passwd", type: "hardlink", linkName: "etc/passwd" },
        ],
      },
      /entry "passwd"/,
    ],
    [
      "a layer of an unknown media type",
      { layerDescriptor: (layer) => ({ ...layer, mediaType: "application/vnd.example.layer" }) },
      /application\/vnd\.example\.layer/,
    ],
    [
      "a target of an unknown media type",
      {
        index: (index) => ({
          ...index,
          manifests: index.manifests.map((manifest) => ({ ...manifest, mediaType: "application/vnd.example" })),
        }),
      },
      /application\/vnd\.example/,
      /./,
    ],
    [
      "an image without its config",
      { files: (files, { config }) => files.delete(`blobs/${config.replace(":", "/")}`) },
      /sha256:[0-9a-f]{64}: not found/,
    ],
    [
      "an image without its layer",
      { files: (files, { layer }) => files.delete(`blobs/${layer.replace(":", "/")}`) },
      /layer "sha256:[0-9a-f]{64}" .* not found/,
      /not found/,
    ],
    [
      "fewer diff ids than layers",
      { config: (config) => ({ ...config, rootfs: { type: "layers", diff_ids: [] } }) },
      /1 layers.*0 diff ids/,
      /mismatched image rootfs/,
    ],
    [
      "diff ids that are none",
      { config: (config) => ({ ...config, rootfs: { type: "layers", diff_ids: ["sha256:x"] } }) },
      /diff_ids|digest/,
      /wrong diff id calculated/,
    ],
    ["a config that is no object", { config: () => new TextEncoder().encode("[1") }, /config "sha256:/, /./],
    ["a config that is deep", { config: () => deep(100_000) }, /config "sha256:/, /./],
    ["a manifest that is deep", { manifest: () => deep(100_000) }, /"sha256:[0-9a-f]{64}"/, /./],
    ["an index that is deep", { index: () => deep(100_000) }, /index\.json/, /./],
    [
      "a manifest that is huge",
      { manifest: (manifest) => ({ ...manifest, annotations: { x: "x".repeat(9 << 20) } }) },
      /at most \d+/,
      /./,
    ],
    [
      "indexes in indexes",
      {
        index(index, add) {
          let current: object = index;
          const mediaType = "application/vnd.oci.image.index.v1+json";
          for (let depth = 0; depth < 20; depth++) {
            const size = JSON.stringify(current).length;
            const digest = add(current);
            const annotations = { "io.containerd.image.name": bad };
            current = { schemaVersion: 2, mediaType, manifests: [{ mediaType, digest, size, annotations }] };
          }
          return current;
        },
      },
      /nested more than/,
      /./,
    ],
  ];

  for (const [name, flaws, daemonSays, ctrSays = daemonSays] of cases)
    test(`import of ${name}`, async () => {
      const archive = badImage(bad, flaws);
      expect(await importByDaemon(archive)).toMatch(daemonSays);
      expect(await storeState(daemon, namespace)).toEqual(before);
      expect(await importByCtr(archive)).toMatch(ctrSays);
      expect(existsSync("/tmp/hull-escaped")).toBe(false);
    });

  test("an archive that is cut off anywhere", async () => {
    const archive = badImage(bad);
    // What is behind the last file's bytes is only the archive's end.
    const last = archive.findLastIndex((byte) => byte !== 0);
    for (let at = 0; at < last; at += Math.ceil(last / 25))
      expect([at, await importByDaemon(archive.subarray(0, at))]).toEqual([at, expect.not.stringMatching("no error")]);
    expect(await importByCtr(archive.subarray(0, last >> 1))).not.toBe("no error");
  });

  test("names that are none", async () => {
    for (const reference of [
      "",
      "UPPER/case",
      "a b",
      "example.com/a:",
      "example.com/a@sha256:1",
      "../../etc",
      "x".repeat(5000),
    ]) {
      const { status, stderr } = await ctr("images", "pull", "--plain-http", reference);
      expect([reference, status, stderr]).toEqual([reference, 1, expect.stringMatching(/./)]);
      const tagged = await ctr("images", "tag", busybox, reference);
      // What containerd itself takes for a name, hull takes as well.
      if (tagged.status === 0) await ctr("images", "rm", reference);
    }
    for (const id of ["../up", "a/b", "", "x".repeat(200), ".", "a..b"])
      expect((await ctr("run", "--rm", busybox, id, "true")).status).not.toBe(0);
  });

  test("a container whose program, directory, user or mount is missing, or whose image is", async () => {
    for (const [says, ...args] of [
      [/"\/missing"|\/missing/, busybox, "one", "/missing"],
      [/missing/, "--cwd", "/missing\u0000", busybox, "one", "true"],
      [/hull-missing/, "--mount", "type=bind,src=/hull-missing,dst=/x,options=rbind", busybox, "one", "true"],
      [/example\.com\/none/, "example.com/none:1", "one", "true"],
      [/no-such-runtime/, "--runtime", "no-such-runtime", busybox, "one", "true"],
      [/no-such-binary/, "--runc-binary", "/no-such-binary", busybox, "one", "true"],
      [/no-such-snapshotter/, "--snapshotter", "no-such-snapshotter", busybox, "one", "true"],
    ] as const) {
      const outcome = await ctr("run", "--rm", ...args).catch((error: Error) => ({ status: 1, stderr: String(error) }));
      expect(outcome).toMatchObject({ stderr: expect.stringMatching(says) });
      expect(outcome.status).not.toBe(0);
      expect(await storeState(daemon, namespace)).toEqual(before);
    }
  });

  test("specs that are none", async () => {
    const config = folder.join("config.json");
    for (const spec of [
      "",
      "{",
      "[]",
      "null",
      "{}",
      '{"ociVersion":"1.0.0","process":{"args":[]},"root":{"path":"rootfs"}}',
      '{"ociVersion":"9.9.9","process":{"args":["true"],"cwd":"/"},"root":{"path":"/nowhere"}}',
      '{"ociVersion":"1.0.0","process":{"args":["true"],"cwd":"relative"},"root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"what"}]}}',
      new TextDecoder().decode(deep(5000)),
    ]) {
      writeFileSync(config, spec);
      const { status, stderr } = await ctr("run", "--rm", "--config", config, "one");
      expect([spec.slice(0, 100), status, stderr]).toEqual([spec.slice(0, 100), 1, expect.stringMatching(/./)]);
      expect(await storeState(daemon, namespace)).toEqual(before);
    }
  });
});
