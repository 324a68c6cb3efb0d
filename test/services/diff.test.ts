import {
  chmodSync,
  chownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { Client } from "@hull/client/client";
import { TarParser, text } from "@hull/engine/diff/tar/index";
import { makeDevice, makeFifo, makeNode, setAttribute } from "@hull/sys/files";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { comparedService, type Server } from "../support/services.ts";

const snapshotter = "overlayfs";
const plain = "application/vnd.oci.image.layer.v1.tar";
const snapshots = (client: Client) => client.service(SnapshotsDefinition);
const diffs = (client: Client) => client.service(DiffDefinition);

/** Lets `work` change files through the mounts. */
async function changed(mounts: readonly Mount[], folder: string, work: (root: string) => Promise<void> | void) {
  const root = mkdtempSync(join(folder, "mount-"));
  mountAll(mounts, root);
  try {
    await work(root);
  } finally {
    unmountAll(root);
    rmdirSync(root);
  }
}

/** File capabilities: cap_net_raw+ep (include/uapi/linux/capability.h, struct vfs_cap_data, revision 2). */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");

/** Something of everything. Times are set by `settle`. */
async function base(root: string): Promise<void> {
  const at = (path: string) => join(root, path);
  for (const path of ["bin", "etc", "gone", "gone/deep", "opaque", "opaque/old", "same", "turned", "empty"]) {
    mkdirSync(at(path));
  }
  for (const path of [
    "bin/plain",
    "bin/mode",
    "bin/owner",
    "bin/time",
    "bin/same",
    "gone/deep/file",
    "opaque/old/file",
  ]) {
    writeFileSync(at(path), `content of ${path}\n`);
  }
  for (const path of ["opaque/first", "same/file", "turned/file", "file", "etc/one"]) writeFileSync(at(path), path);
  linkSync(at("etc/one"), at("etc/two"));
  linkSync(at("etc/one"), at("same/three"));
  symlinkSync("bin/plain", at("link"));
  settle(root, 1000);
}

async function change(root: string): Promise<void> {
  const at = (path: string) => join(root, path);
  writeFileSync(at("bin/plain"), "changed");
  chmodSync(at("bin/mode"), 0o4755);
  chownSync(at("bin/owner"), 3, 70_000);
  lutimesSync(at("bin/time"), 5000.25, 5000.25);
  writeFileSync(at("bin/capable"), "c");
  setAttribute(at("bin/capable"), "security.capability", capability);
  setAttribute(at("bin/capable"), "user.note", Buffer.from("kept out"));
  rmSync(at("gone"), { recursive: true });
  rmSync(at("opaque"), { recursive: true });
  mkdirSync(at("opaque"));
  writeFileSync(at("opaque/new"), "new");
  rmSync(at("turned"), { recursive: true });
  writeFileSync(at("turned"), "a file now");
  rmSync(at("file"));
  mkdirSync(at("file"));
  writeFileSync(at("file/inside"), "a directory now");
  rmSync(at("link"));
  symlinkSync("bin/mode", at("link"));
  linkSync(at("etc/two"), at("etc/zero"));
  linkSync(at("bin/capable"), at("a-link"));
  linkSync(at("bin/capable"), at("z-link"));
  mkdirSync(at("dev"));
  makeNode(at("dev/null"), "character", 0o666, makeDevice(1, 3));
  makeNode(at("dev/disk"), "block", 0o660, makeDevice(259, 70_000));
  makeFifo(at("dev/pipe"), 0o600);
  const names = [
    `long${"-name".repeat(40)}`,
    `${"deep/".repeat(40)}file`,
    "ünïcödé",
    `${"d".repeat(90)}/${"f".repeat(60)}`,
  ];
  for (const name of names) {
    mkdirSync(join(at(name), ".."), { recursive: true });
    writeFileSync(at(name), name);
  }
  writeFileSync(at("large"), Buffer.alloc(3_000_001, "0123456789abcdef"));
  writeFileSync(at("before-1970"), "old");
  lutimesSync(at("before-1970"), -5.5, -5.5);
  renameSync(at("bin/same"), at("bin/moved"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(at("socket"), resolve));
  settle(root, 2000);
  await new Promise((resolve) => server.close(resolve));
}

/** Gives everything that was made just now a time that is the same everywhere. */
function settle(root: string, seconds: number): void {
  const { exitCode, stderr } = Bun.spawnSync([
    "find",
    root,
    "-newermt",
    "2020-01-01",
    "-exec",
    "touch",
    "-h",
    "-d",
    `@${seconds}.5`,
    "{}",
    ";",
  ]);
  if (exitCode !== 0) throw new Error(`find: ${stderr.toString()}`);
}

async function bytesOf(client: Client, digest: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const { data } of client.service(ContentDefinition).read({ digest, offset: 0n, size: 0n }))
    parts.push(data);
  return Buffer.concat(parts);
}

/** One line for each entry. Older containerds give deletions the time of the call, and another owner of the parents. */
function listing(archive: Uint8Array): string[] {
  const lines: string[] = [];
  const parser = new TarParser({
    entry: ({ name, linkName, type, mode, uid, gid, size, mtime, deviceMajor, deviceMinor, xattrs }) => {
      const time = text(name).includes(".wh.") ? "" : `${mtime.seconds}.${mtime.nanoseconds}`;
      const attributes = [...(xattrs ?? [])].map(([key, value]) => `${key}=${Buffer.from(value).toString("hex")}`);
      lines.push(
        [
          text(name),
          type,
          mode.toString(8),
          uid,
          gid,
          size,
          time,
          deviceMajor,
          deviceMinor,
          text(linkName),
          ...attributes,
        ].join(" "),
      );
    },
    data: () => undefined,
    finish: () => undefined,
  });
  parser.push(archive);
  parser.end();
  return lines;
}

comparedService("diff", (test) => {
  const prepared = async ({ client, side }: Server) => {
    // No image holds them, and a collector may run at any time.
    const labels = { "containerd.io/gc.root": "2026-01-01T00:00:00Z" };
    const { mounts } = await snapshots(client).prepare({ snapshotter, key: "a", parent: "", labels });
    await changed(mounts, side.folder, base);
    await snapshots(client).commit({ snapshotter, name: "A", key: "a", labels });
    const { mounts: writable } = await snapshots(client).prepare({ snapshotter, key: "b", parent: "A", labels });
    await changed(writable, side.folder, change);
    await snapshots(client).view({ snapshotter, key: "A-view", parent: "A", labels });
    await snapshots(client).prepare({ snapshotter, key: "c", parent: "A", labels });
  };
  const mountsOf = async (client: Client, key: string) =>
    key === "" ? [] : (await snapshots(client).mounts({ snapshotter, key })).mounts;
  const diff =
    (
      left: string,
      right: string,
      more: {
        mediaType?: string;
        ref?: string;
        labels?: Record<string, string>;
        sourceDateEpoch?: { seconds: bigint; nanos: number };
      } = {},
    ) =>
    async (client: Client) => {
      const [before, after] = [await mountsOf(client, left), await mountsOf(client, right)];
      return await diffs(client).diff({ left: before, right: after, mediaType: plain, ...more });
    };
  const entries =
    (left: string, right: string, more = {}) =>
    async (client: Client) =>
      listing(await bytesOf(client, (await diff(left, right, more)(client)).diff?.digest ?? ""));

  test("the same layers of the same files", async (pair) => {
    await pair.each((_, server) => prepared(server));
    await pair.same("of a base", entries("", "A-view"));
    await pair.same("of a base, in bytes", diff("", "A-view"));
    await pair.same("of a change", entries("A-view", "b"));
    await pair.same("of a change, to the byte", diff("A-view", "b"), pair.older ? { mask: /sha256:.*/ } : {});
    await pair.same("of no change", diff("A-view", "c"));
    await pair.same("backwards", entries("b", "A-view"));
    const epoch = { sourceDateEpoch: { seconds: 1500n, nanos: 7 } };
    if (!pair.older) await pair.same("not newer than", diff("A-view", "b", epoch));
  });

  test("what is asked for", async (pair) => {
    await pair.same("another type", diff("A-view", "b", { mediaType: "text/plain" }));
    const docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    await pair.same("Docker's type", diff("A-view", "b", { mediaType: docker }));
    // Older ones don't know zstd.
    for (const mediaType of ["", `${plain}+gzip`, ...(pair.older ? [] : [`${plain}+zstd`])]) {
      await pair.same(`compressed: "${mediaType}"`, async (client) => {
        const { diff: made } = await diff("", "c", { mediaType, labels: { a: "b" }, ref: "mine" })(client);
        const { info } = await client.service(ContentDefinition).info({ digest: made?.digest ?? "" });
        return [made?.mediaType, Object.entries(info?.labels ?? {}).sort()];
      });
    }
  });
});
