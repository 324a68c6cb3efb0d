/** Digests: `algorithm:hex`, the name of a blob (OCI image spec, descriptor.md, section "Digests"). */

import { createHash, type Hash } from "node:crypto";
import { invalidArgument } from "@hull/errors";

/** The algorithms that are accepted, with the length of their hex text. */
const hexLength = { sha256: 64, sha384: 96, sha512: 128 } as const;

/** An algorithm a digest may have. */
export type DigestAlgorithm = keyof typeof hexLength;

const shape = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([A-Za-z0-9=_-]+)$/;
const lowerHex = /^[0-9a-f]+$/;

function isAlgorithm(name: string): name is DigestAlgorithm {
  return Object.hasOwn(hexLength, name);
}

/**
 * Splits a digest and checks it.
 * @throws InvalidArgument if it isn't `algorithm:hex`, the algorithm is unknown or the hex has the wrong length
 */
export function parseDigest(text: string): { algorithm: DigestAlgorithm; hex: string } {
  const [, algorithm, hex] = shape.exec(text) ?? [];
  if (algorithm === undefined || hex === undefined)
    throw invalidArgument(`digest ${JSON.stringify(text.slice(0, 200))} is not of the form "algorithm:hex"`);
  if (!isAlgorithm(algorithm))
    throw invalidArgument(
      `digest "${text}" has the unsupported algorithm "${algorithm}": use sha256, sha384 or sha512`,
    );
  if (hex.length !== hexLength[algorithm] || !lowerHex.test(hex))
    throw invalidArgument(
      `digest "${text}" must have ${hexLength[algorithm]} lower-case hex digits after "${algorithm}:"`,
    );
  return { algorithm, hex };
}

/** True if `text` is a digest that `parseDigest` accepts. */
export function isDigest(text: string): boolean {
  const [, algorithm, hex] = shape.exec(text) ?? [];
  return (
    algorithm !== undefined &&
    hex !== undefined &&
    isAlgorithm(algorithm) &&
    hex.length === hexLength[algorithm] &&
    lowerHex.test(hex)
  );
}

/** The digest of bytes (or of a text's UTF-8). */
export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = "sha256"): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

/** Takes bytes as they come; `digest` may be asked at any time and doesn't end it. */
export class Digester {
  readonly algorithm: DigestAlgorithm;
  readonly #hash: Hash;

  constructor(algorithm: DigestAlgorithm = "sha256") {
    this.algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    return this;
  }

  digest(): string {
    return `${this.algorithm}:${this.#hash.copy().digest("hex")}`;
  }
}

/**
 * The names of a stack of layers, lowest first: OCI image spec, config.md, section "Layer ChainID". The last one names the whole.
 *
 *     chainIds(["sha256:a…", "sha256:b…"]) // ["sha256:a…", digestOf("sha256:a… sha256:b…")]
 */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  let previous: string | undefined;
  for (const diffId of diffIds) {
    previous = previous === undefined ? diffId : digestOf(`${previous} ${diffId}`);
    chain.push(previous);
  }
  return chain;
}

/** The chain id of the whole stack; empty for no layers. */
export function chainId(diffIds: readonly string[]): string {
  return chainIds(diffIds).at(-1) ?? "";
}
