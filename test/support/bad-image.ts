import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { layerOf, type TestEntry } from "@hull/engine/diff/testing";
import { hostArchitecture } from "../../scripts/image.ts";

/** A JSON document or bytes as they are. */
type Blob = object | Uint8Array;

const bytesOf = (blob: Blob): Uint8Array =>
  blob instanceof Uint8Array ? blob : new TextEncoder().encode(JSON.stringify(blob));

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

/** What a test changes of an image that would be good. Each function gets what would be written and gives what is. */
export interface Flaws {
  /** Entries of the one layer. */
  entries?: TestEntry[];
  /** The layer as it is stored, after compression. */
  layer?: (bytes: Uint8Array) => Uint8Array;
  layerDescriptor?: (descriptor: Descriptor) => object;
  config?: (config: Record<string, unknown>) => Blob;
  manifest?: (manifest: Record<string, unknown>) => Blob;
  index?: (index: { schemaVersion: number; manifests: Descriptor[] }, add: (blob: Blob) => string) => Blob;
  /** The files of the archive by path. */
  files?: (files: Map<string, Uint8Array>, digests: { config: string; layer: string; manifest: string }) => void;
}

/** The archive of an OCI layout with one image of one layer, which is good but for its flaws. */
export function badImage(name: string, flaws: Flaws = {}): Uint8Array {
  const same = <T>(value: T): T => value;
  const files = new Map<string, Uint8Array>([["oci-layout", bytesOf({ imageLayoutVersion: "1.0.0" })]]);
  const add = (blob: Blob): string => {
    const bytes = bytesOf(blob);
    files.set(`blobs/${digestOf(bytes).replace(":", "/")}`, bytes);
    return digestOf(bytes);
  };
  const describe = (mediaType: string, blob: Blob): Descriptor => ({
    mediaType: `application/vnd.oci.image.${mediaType}`,
    digest: add(blob),
    size: bytesOf(blob).length,
  });
  const tar = layerOf(...(flaws.entries ?? [{ name: "file", content: "hello".repeat(10_000) }]));
  const layer = describe("layer.v1.tar+gzip", (flaws.layer ?? same)(gzipSync(tar)));
  const config = describe(
    "config.v1+json",
    (flaws.config ?? same)({
      architecture: hostArchitecture,
      os: "linux",
      config: { Cmd: ["/missing"] },
      rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
    }),
  );
  const layers = [(flaws.layerDescriptor ?? same)(layer)];
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = describe(
    "manifest.v1+json",
    (flaws.manifest ?? same)({ schemaVersion: 2, mediaType, config, layers }),
  );
  const annotations = { "io.containerd.image.name": name };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  files.set("index.json", bytesOf(flaws.index === undefined ? index : flaws.index(index, add)));
  flaws.files?.(files, { config: config.digest, layer: layer.digest, manifest: manifest.digest });
  return layerOf(...[...files].map(([path, content]) => ({ name: path, content })));
}
