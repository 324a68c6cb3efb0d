import { isDigest } from "@hull/oci/digest";

/** What is wrong with a digest, in the words of containerd's texts; undefined if nothing is. */
export function digestProblem(text: string): string | undefined {
  if (isDigest(text)) return undefined;
  const [, algorithm, hex = ""] = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/.exec(text) ?? [];
  if (algorithm === undefined) return "invalid checksum digest format";
  const length = { sha256: 64, sha384: 96, sha512: 128 }[algorithm];
  if (length === undefined) return "unsupported digest algorithm";
  return hex.length === length ? "invalid checksum digest format" : "invalid checksum digest length";
}
