/** The same layers through a real containerd, and file by file what it made of them. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Bench, bind, describeTree, layerOf, overlay } from "./testing.ts";

const able = process.getuid?.() === 0 && Bun.which("containerd") !== null && Bun.which("ctr") !== null;
const at = (seconds: number, nanoseconds = 0) => ({ seconds, nanoseconds });
const digestOf = (bytes: Uint8Array) => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

const first = layerOf(
  { name: "./", type: "directory", mode: 0o700, mtime: at(1) },
  { name: "bin", type: "directory", mtime: at(1000, 123) },
  { name: "bin/plain", content: "plain\n", mode: 0o755, mtime: at(2000, 987654321) },
  { name: "bin/suid", content: "suid\n", mode: 0o6755, uid: 7, gid: 8 },
  { name: "bin/attributes", content: "x", xattrs: new Map([["user.a", Buffer.from([0, 1, 255])]]) },
  { name: "bin/linked", type: "hardlink", linkName: "bin/plain", mode: 0o755, mtime: at(2000, 987654321) },
  { name: "bin/sh", type: "symlink", linkName: "/bin/plain", mtime: at(3000, 5) },
  { name: "mail", type: "directory", mode: 0o2775, gid: 12, uid: 3, mtime: at(6) },
  { name: "mail/box", content: "mail", uid: 5 },
  { name: "dev", type: "directory" },
  { name: "dev/null", type: "character", deviceMajor: 1, deviceMinor: 3, mode: 0o666 },
  { name: "dev/pipe", type: "fifo", mode: 0o600 },
  { name: "opaque", type: "directory" },
  { name: "opaque/old", content: "1" },
  { name: "gone", content: "1" },
  { name: "before-1970", content: "1", mtime: at(-5, 7) },
  { name: "far", content: "1", mtime: at(20_000_000_000) },
  { name: "accessed", content: "1", mtime: at(50), atime: at(60, 1) },
  { name: "link", type: "symlink", linkName: "bin" },
  { name: "link/through", content: "through a link", mtime: at(7) },
  { name: "/absolute/../absolute", content: "a", mtime: at(8) },
  { name: "bin", type: "directory", mode: 0o711, mtime: at(1001) },
);

const second = layerOf(
  { name: ".wh.gone", uid: 4 },
  { name: "mail/new", content: "2", mtime: at(70) },
  { name: "opaque", type: "directory", mode: 0o700, mtime: at(71) },
  { name: "opaque/.wh..wh..opq" },
  { name: "opaque/new", content: "2" },
  { name: "bin", type: "symlink", linkName: "usr/bin", mtime: at(72) },
);

describe.skipIf(!able)("apply beside containerd (needs root, containerd, ctr)", () => {
  test("makes the same files as containerd's overlayfs snapshots hold", async () => {
    using bench = new Bench();
    const theirs = await unpackWithContainerd(bench.directory(), [first, second]);
    const [lower, upper, work] = [bench.directory(), bench.directory(), bench.directory()];
    await bench.apply(bind(lower), gzipSync(first));
    await bench.apply(overlay(upper, work, [lower]), gzipSync(second));
    // A whiteout's time is that of its making. A directory copied up for what comes into it keeps its time with us, while
    // containerd leaves it with the time of unpacking.
    const comparable = (directory: string) =>
      describeTree(directory).map((line) => line.replace(/^((?:gone 20000|mail 42775) \S+) \d+/, "$1"));
    expect(comparable(lower)).toEqual(comparable(join(theirs, "1/fs")));
    expect(comparable(upper)).toEqual(comparable(join(theirs, "2/fs")));
  });
});

/** Imports an image of these layers into a containerd of its own. Gives the directory of its snapshots. */
async function unpackWithContainerd(place: string, layers: Uint8Array[]): Promise<string> {
  const image = join(place, "image");
  mkdirSync(join(image, "blobs/sha256"), { recursive: true });
  const blob = (bytes: Uint8Array, mediaType: string) => {
    const digest = digestOf(bytes);
    writeFileSync(join(image, "blobs/sha256", digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const json = (value: unknown, mediaType: string) => blob(Buffer.from(JSON.stringify(value)), mediaType);
  const architecture = process.arch === "x64" ? "amd64" : "arm64";
  const diffIds = layers.map((layer) => `sha256:${digestOf(layer)}`);
  const config = json(
    { architecture, os: "linux", config: {}, rootfs: { type: "layers", diff_ids: diffIds } },
    "application/vnd.oci.image.config.v1+json",
  );
  const manifest = json(
    {
      schemaVersion: 2,
      config,
      layers: layers.map((layer) => blob(gzipSync(layer), "application/vnd.oci.image.layer.v1.tar+gzip")),
    },
    "application/vnd.oci.image.manifest.v1+json",
  );
  const annotations = { "org.opencontainers.image.ref.name": "docker.io/library/test:latest" };
  writeFileSync(
    join(image, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  writeFileSync(join(image, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  Bun.spawnSync(["tar", "-C", image, "-cf", join(place, "image.tar"), "."]);

  const socket = join(place, "c.sock");
  const configPath = join(place, "config.toml");
  writeFileSync(
    configPath,
    `version = 2\nroot = "${place}/root"\nstate = "${place}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "${socket}"\n`,
  );
  const daemon = Bun.spawn(["containerd", "-c", configPath], { stdio: ["ignore", "ignore", "pipe"] });
  try {
    await untilStarted(daemon.stderr);
    const ctr = Bun.spawnSync([
      "ctr",
      "-a",
      socket,
      "images",
      "import",
      "--snapshotter",
      "overlayfs",
      join(place, "image.tar"),
    ]);
    if (!ctr.success) throw new Error(`ctr: ${ctr.stderr}`);
  } finally {
    daemon.kill();
    await daemon.exited;
  }
  return join(place, "root/io.containerd.snapshotter.v1.overlayfs/snapshots");
}

/** Reads the log until containerd says that it serves, and goes on reading so that it never waits for us. */
async function untilStarted(log: ReadableStream<Uint8Array>): Promise<void> {
  const reader = log.getReader();
  let text = "";
  while (!text.includes("containerd successfully booted")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`containerd: ${text}`);
    text += new TextDecoder().decode(value);
  }
  const drain = async () => {
    while (!(await reader.read()).done);
  };
  drain().catch(() => {});
}
