/**
 * The formats of images and containers, without I/O: digests, descriptors, manifests, references, platforms, layouts. The
 * runtime spec builder is `@hull/oci/spec`.
 */

export * from "./descriptor.ts";
export * from "./digest.ts";
export * from "./image-layout.ts";
export * from "./json.ts";
export * from "./manifest.ts";
export * from "./media-types.ts";
export * from "./platform.ts";
export * from "./reference.ts";
