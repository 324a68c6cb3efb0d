/**
 * Makes images for the quickstart, the tests and the benchmark: OCI layouts (OCI image spec, image-layout.md) from folders, packed as
 * the archives that `images import` takes. The layers are made by the system's `tar`, so that what we read was written by another.
 *
 *   bun scripts/image.ts OUT [NAME]     an image of busybox-static's busybox under NAME
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";

export type Compression = "none" | "gzip" | "zstd";

/** A layer: the uncompressed tar, and how it is to be stored. */
export interface LayerSource {
  tar: Uint8Array;
  compression: Compression;
}

/** What an image is made of. `config` is the `config` of the OCI image config: `Cmd`, `Env`, … */
export interface ImageSource {
  /** Full reference, e.g. `docker.io/library/busybox:latest`. */
  name: string;
  layers: readonly LayerSource[];
  config?: Readonly<Record<string, unknown>>;
  architecture?: string;
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
  platform?: { os: string; architecture: string };
}

const layerMediaType: Record<Compression, string> = {
  none: "application/vnd.oci.image.layer.v1.tar",
  gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
};

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Go's name of this machine's architecture. */
export const hostArchitecture: string = process.arch === "x64" ? "amd64" : process.arch;

function compress(tar: Uint8Array, compression: Compression): Uint8Array {
  switch (compression) {
    case "none":
      return tar;
    case "gzip":
      return gzipSync(tar);
    case "zstd":
      return zstdCompressSync(tar);
  }
}

/** Writes an OCI layout with these images into `folder` (made if missing). Gives the descriptors of `index.json`. */
export function writeLayout(folder: string, images: readonly ImageSource[]): Descriptor[] {
  const blobs = join(folder, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const add = (mediaType: string, bytes: Uint8Array): Descriptor => {
    const digest = digestOf(bytes);
    writeFileSync(join(blobs, digest.slice("sha256:".length)), bytes);
    return { mediaType, digest, size: bytes.byteLength };
  };
  const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

  const manifests = images.map((image) => {
    const architecture = image.architecture ?? hostArchitecture;
    const layers = image.layers.map(({ tar, compression }) =>
      add(layerMediaType[compression], compress(tar, compression)),
    );
    const config = add(
      "application/vnd.oci.image.config.v1+json",
      json({
        created: "2026-01-01T00:00:00Z",
        architecture,
        os: "linux",
        config: image.config ?? {},
        rootfs: { type: "layers", diff_ids: image.layers.map(({ tar }) => digestOf(tar)) },
        history: image.layers.map(() => ({ created: "2026-01-01T00:00:00Z", created_by: "hull" })),
      }),
    );
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const manifest = add(mediaType, json({ schemaVersion: 2, mediaType, config, layers }));
    const tag = image.name.slice(image.name.lastIndexOf(":") + 1);
    return {
      ...manifest,
      annotations: { "io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tag },
      platform: { os: "linux", architecture },
    };
  });
  writeFileSync(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(
    join(folder, "index.json"),
    JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests }),
  );
  return manifests;
}

/** Runs the system's tar; gives its standard output. @throws Error with what it said */
function tar(args: readonly string[]): Uint8Array {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["tar", ...args], { maxBuffer: 4 * 1024 ** 3 });
  if (exitCode !== 0) throw new Error(`tar ${args.join(" ")}: ${stderr.toString()}`);
  return stdout;
}

/** The tar of a folder's content, owned by root, times at 2026-01-01. */
export function tarOfFolder(folder: string): Uint8Array {
  return tar([
    "-C",
    folder,
    "--format=pax",
    "--numeric-owner",
    "--owner=0",
    "--group=0",
    "--sort=name",
    "--mtime=@1767225600",
    "-cf",
    "-",
    ".",
  ]);
}

/** Packs an OCI layout into one archive file. */
export function packLayout(folder: string, archive: string): void {
  tar(["-C", folder, "--sort=name", "-cf", archive, "oci-layout", "index.json", "blobs"]);
}

/** The layer of a whole small userland: busybox with a link for each of its commands. */
export function busyboxLayer(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "hull-busybox-"));
  try {
    for (const name of ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"])
      mkdirSync(join(folder, name));
    chmodSync(join(folder, "tmp"), 0o1777);
    copyFileSync("/bin/busybox", join(folder, "bin", "busybox"));
    chmodSync(join(folder, "bin", "busybox"), 0o755);
    const { stdout } = Bun.spawnSync(["/bin/busybox", "--list"]);
    for (const command of stdout.toString().trim().split("\n")) {
      if (command !== "busybox") symlinkSync("busybox", join(folder, "bin", command));
    }
    writeFileSync(
      join(folder, "etc", "passwd"),
      "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/home:/bin/sh\n",
    );
    writeFileSync(join(folder, "etc", "group"), "root:x:0:\nguest:x:1000:\nstaff:x:50:guest\n");
    return tarOfFolder(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes an archive with an image of busybox. */
export function writeBusyboxImage(
  archive: string,
  name = "docker.io/library/busybox:latest",
  compression: Compression = "gzip",
): void {
  const folder = mkdtempSync(join(tmpdir(), "hull-image-"));
  try {
    const config = { Env: ["PATH=/bin"], Cmd: ["sh"] };
    writeLayout(folder, [{ name, layers: [{ tar: busyboxLayer(), compression }], config }]);
    packLayout(folder, archive);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const [archive, name] = process.argv.slice(2);
  if (archive === undefined) {
    console.error("usage: bun scripts/image.ts OUT [NAME]");
    process.exit(2);
  }
  writeBusyboxImage(archive, name);
  console.log(`${archive}: ${readFileSync(archive).byteLength} bytes`);
}
