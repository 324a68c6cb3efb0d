/** The OCI image layout: the files of an image in a directory or tar (OCI image spec, image-layout.md), and the annotations on its index. */

import { invalidArgument } from "@hull/errors";
import { isDigest, parseDigest } from "./digest.ts";

/** Says that a directory is a layout. */
export const layoutFile = "oci-layout";
/** The list of what the layout holds. */
export const indexFile = "index.json";
/** The file of `docker save`. */
export const dockerManifestFile = "manifest.json";
/** The bytes of `oci-layout`. */
export const layoutContent = '{"imageLayoutVersion":"1.0.0"}';

/** Annotations of a descriptor in `index.json` that name an image. */
export const annotations = {
  /** the full reference, containerd's */
  imageName: "io.containerd.image.name",
  /** the tag, or any text; OCI's */
  refName: "org.opencontainers.image.ref.name",
} as const;

/** `blobs/<algorithm>/<hex>`. @throws InvalidArgument for a malformed digest */
export function blobPath(digest: string): string {
  const { algorithm, hex } = parseDigest(digest);
  return `blobs/${algorithm}/${hex}`;
}

/** The digest that a path of the layout is named by; undefined if it isn't a blob's. */
export function digestOfBlobPath(path: string): string | undefined {
  const [, algorithm, hex] = /^blobs\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  const digest = `${algorithm}:${hex}`;
  return algorithm !== undefined && isDigest(digest) ? digest : undefined;
}

/** Checks `oci-layout`. @throws InvalidArgument if it is not of version 1 */
export function checkLayout(text: string): void {
  let version: unknown;
  try {
    version = (JSON.parse(text) as { imageLayoutVersion?: unknown } | null)?.imageLayoutVersion;
  } catch (error) {
    throw invalidArgument(`"${layoutFile}" is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (version !== "1.0.0")
    throw invalidArgument(`"${layoutFile}" has the layout version ${JSON.stringify(version)}: only "1.0.0" is known`);
}
