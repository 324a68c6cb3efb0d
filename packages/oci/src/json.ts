/** JSON as containerd's documents have it, whose digests depend on every byte: what Go's encoder writes. */

import type { Descriptor, Platform } from "./descriptor.ts";

const escapes: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** The bytes of a value in its fields' own order, with the characters escaped that Go escapes. `indent` is put before each level. */
export function encodeJson(value: unknown, indent?: string): Uint8Array {
  const text = JSON.stringify(value, undefined, indent);
  return new TextEncoder().encode(text.replace(/[<>&\u2028\u2029]/g, (character) => escapes[character] ?? character));
}

/** A descriptor with its fields in the order of the OCI image spec's Go types (specs-go/v1/descriptor.go), empty ones left out. */
export function orderedDescriptor(descriptor: Descriptor): Descriptor {
  const { mediaType, digest, size, urls = [], annotations = {}, data, platform, artifactType } = descriptor;
  return {
    mediaType,
    digest,
    size,
    ...(urls.length === 0 ? {} : { urls }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations: ordered(annotations) }),
    ...(data === undefined ? {} : { data }),
    ...(platform === undefined ? {} : { platform: orderedPlatform(platform) }),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}

/** A platform with its fields in the order of the OCI image spec's Go types. */
export function orderedPlatform({ architecture, os, variant, ...rest }: Platform): Platform {
  const version = rest["os.version"];
  const features = rest["os.features"];
  return {
    architecture,
    os,
    ...(version === undefined ? {} : { "os.version": version }),
    ...(features === undefined ? {} : { "os.features": features }),
    ...(variant === undefined ? {} : { variant }),
  };
}

function ordered(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
