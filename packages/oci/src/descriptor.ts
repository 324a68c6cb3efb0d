/** Descriptors and platforms: how one piece of content points to another (OCI image spec, descriptor.md and image-index.md). */

/** What to run on: OCI image spec, image-index.md. Names are Go's (`linux`, `amd64`, `arm` with variant `v7`). */
export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
  "os.version"?: string;
  "os.features"?: string[];
}

/** Points to a blob. `size` is in bytes; `data` is base64 as in the JSON. */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  urls?: string[];
  annotations?: Record<string, string>;
  platform?: Platform;
  artifactType?: string;
  data?: string;
}
