/** The catalogue of media types (OCI image spec, media-types.md; Docker image manifest v2.2; containerd's own). */

import type { Descriptor } from "./descriptor.ts";

export const mediaTypes = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociEmpty: "application/vnd.oci.empty.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  ociForeignLayer: "application/vnd.oci.image.layer.nondistributable.v1.tar",
  ociForeignLayerGzip: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  ociForeignLayerZstd: "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerSchema1: "application/vnd.docker.distribution.manifest.v1+json",
  dockerSchema1Signed: "application/vnd.docker.distribution.manifest.v1+prettyjws",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  dockerLayerZstd: "application/vnd.docker.image.rootfs.diff.tar.zstd",
  dockerForeignLayer: "application/vnd.docker.image.rootfs.foreign.diff.tar",
  dockerForeignLayerGzip: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  inToto: "application/vnd.in-toto+json",
  descriptor: "application/vnd.oci.descriptor.v1+json",
  checkpoint: "application/vnd.containerd.container.criu.checkpoint.criu.tar",
  checkpointOptions: "application/vnd.containerd.container.checkpoint.options.v1+proto",
  checkpointConfig: "application/vnd.containerd.container.checkpoint.config.v1+proto",
  checkpointRuntimeName: "application/vnd.containerd.container.checkpoint.runtime.name",
  checkpointRuntimeOptions: "application/vnd.containerd.container.checkpoint.runtime.options+proto",
} as const;

const layers: ReadonlySet<string> = new Set([
  mediaTypes.ociLayer,
  mediaTypes.ociLayerGzip,
  mediaTypes.ociLayerZstd,
  mediaTypes.ociForeignLayer,
  mediaTypes.ociForeignLayerGzip,
  mediaTypes.ociForeignLayerZstd,
  mediaTypes.dockerLayer,
  mediaTypes.dockerLayerGzip,
  mediaTypes.dockerLayerZstd,
  mediaTypes.dockerForeignLayer,
  mediaTypes.dockerForeignLayerGzip,
]);

/** A file system layer that hull can unpack, or with a suffix that a stream processor may undo (`+encrypted`). */
export function isLayer(mediaType: string): boolean {
  return layers.has(mediaType) || (mediaType.endsWith("+encrypted") && layers.has(mediaType.slice(0, -10)));
}

/** A layer that its publisher doesn't let others distribute: fetched from its `urls` first, not pushed. */
export function isForeignLayer(mediaType: string): boolean {
  return isLayer(mediaType) && (mediaType.includes(".nondistributable.") || mediaType.includes(".foreign."));
}

/** Config and layers of one image. */
export function isManifest(mediaType: string): boolean {
  return mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest;
}

/** A list of manifests, one for each platform. */
export function isIndex(mediaType: string): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList;
}

/** The config of an image that runs. */
export function isConfig(mediaType: string): boolean {
  return mediaType === mediaTypes.ociConfig || mediaType === mediaTypes.dockerConfig;
}

/** How a layer is compressed, by its media type: "" for a plain tar, undefined if that says nothing. */
export function layerCompression(mediaType: string): "" | "gzip" | "zstd" | undefined {
  if (!layers.has(mediaType)) return undefined;
  if (mediaType.endsWith("gzip")) return "gzip";
  return mediaType.endsWith("zstd") ? "zstd" : "";
}

/**
 * The ref of the ingest that fetches this blob, by containerd's convention: an interrupted fetch is found again by it,
 * whoever goes on with it.
 */
export function ingestRef(descriptor: Pick<Descriptor, "mediaType" | "digest">): string {
  const { mediaType, digest } = descriptor;
  if (isManifest(mediaType)) return `manifest-${digest}`;
  if (isIndex(mediaType)) return `index-${digest}`;
  if (isLayer(mediaType)) return `layer-${digest}`;
  if (isConfig(mediaType)) return `config-${digest}`;
  if (mediaType === mediaTypes.inToto) return `attestation-${digest}`;
  return `unknown-${digest}`;
}

/**
 * The labels on a parent's blob that keep its children from the collector (`containerd.io/gc.ref.content.…`), by containerd's
 * convention: `.config`, `.l.<n>` for the n-th layer, `.m.<n>` for the n-th manifest, `.<n>` for the n-th of all else.
 */
export function childLabels(children: readonly Pick<Descriptor, "mediaType" | "digest">[]): Record<string, string> {
  const labels: Record<string, string> = {};
  const counts = new Map<string, number>();
  for (const { mediaType, digest } of children) {
    const kind = childKind(mediaType);
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    labels[`containerd.io/gc.ref.content${kind}${count > 0 || kind.endsWith(".") ? count : ""}`] = digest;
  }
  return labels;
}

function childKind(mediaType: string): ".config" | ".l." | ".m." | "." {
  if (isManifest(mediaType) || isIndex(mediaType)) return ".m.";
  if (isLayer(mediaType)) return ".l.";
  return isConfig(mediaType) ? ".config" : ".";
}
