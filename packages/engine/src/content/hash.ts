import { createHash, type Hash } from "node:crypto";
import { invalidArgument } from "@hull/errors";

/** Digest algorithms that blobs may be named by, with the length of their digests in hex digits. */
const algorithms: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** The algorithm where nobody asks for another. */
export const canonicalAlgorithm = "sha256";

/**
 * Splits a digest `<algorithm>:<lower case hex>` (OCI image specification, descriptor.md, "Digests").
 *
 * @throws InvalidArgument if it is malformed, or of an algorithm that isn't sha256, sha384 or sha512. What passes is safe as a path.
 */
export function splitDigest(digest: string): { algorithm: string; hex: string } {
  const colon = digest.indexOf(":");
  if (colon < 1) throw invalidArgument(`digest "${digest}": invalid checksum digest format`);
  const algorithm = digest.slice(0, colon);
  const hex = digest.slice(colon + 1);
  const length = Object.hasOwn(algorithms, algorithm) ? algorithms[algorithm] : undefined;
  if (length === undefined) throw invalidArgument(`digest "${digest}": unsupported digest algorithm`);
  if (hex.length !== length) throw invalidArgument(`digest "${digest}": invalid checksum digest length`);
  if (!/^[0-9a-f]+$/.test(hex)) throw invalidArgument(`digest "${digest}": invalid checksum digest format`);
  return { algorithm, hex };
}

// About 3 ms of hashing: other work of the event loop waits no longer.
const slice = 2 << 20;

/** A digest of bytes that come piece by piece, readable at any point. */
export class RunningDigest {
  readonly algorithm: string;
  #hash: Hash;

  constructor(algorithm: string = canonicalAlgorithm) {
    this.algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  /** Takes in `bytes`, giving way to other work now and then. `bytes` must not change until this is done. */
  async update(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length; start += slice) {
      if (start > 0) await new Promise(setImmediate);
      this.#hash.update(bytes.length > slice ? bytes.subarray(start, start + slice) : bytes);
    }
  }

  /** The digest of what was taken in so far. */
  current(): string {
    return `${this.algorithm}:${this.#hash.copy().digest("hex")}`;
  }

  /** Back to no bytes. */
  reset(): void {
    this.#hash = createHash(this.algorithm);
  }
}
