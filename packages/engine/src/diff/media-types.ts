/**
 * Media types of layers: OCI image spec, media-types.md and layer.md; Docker's image manifest v2, schema 2. Which compression one
 * names doesn't matter: that is told by the bytes.
 */
const layerTypes: ReadonlySet<string> = new Set([
  "application/vnd.oci.image.layer.v1.tar",
  "application/vnd.oci.image.layer.v1.tar+gzip",
  "application/vnd.oci.image.layer.v1.tar+zstd",
  "application/vnd.oci.image.layer.nondistributable.v1.tar",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
  "application/vnd.docker.image.rootfs.diff.tar",
  "application/vnd.docker.image.rootfs.diff.tar.gzip",
  "application/vnd.docker.image.rootfs.diff.tar.zstd",
  "application/vnd.docker.image.rootfs.foreign.diff.tar",
  "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd",
]);

/** What an applied layer is: an uncompressed tar. */
export const uncompressedLayer = "application/vnd.oci.image.layer.v1.tar";

/** True for a media type of a layer that can be applied. */
export function isLayerType(mediaType: string): boolean {
  return layerTypes.has(mediaType);
}
