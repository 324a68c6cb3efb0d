/** Changes to bytes, as they happen to files and as an attacker would make them. Everything follows from a seed. */

/** Random numbers, the same for each seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A number of 0 or more and less than `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

/** Bytes at which parsers change their minds. */
const telling = [0, 1, 0x0a, 0x20, 0x22, 0x2d, 0x2e, 0x2f, 0x30, 0x5c, 0x7f, 0x80, 0xc3, 0xfe, 0xff];
/** Numbers at which sizes and signs overflow, little- and big-endian. */
const numbers = [
  [0xff, 0xff],
  [0xff, 0xff, 0xff, 0xff],
  [0x7f, 0xff, 0xff, 0xff],
  [0x80, 0, 0, 0],
  [0, 0, 0, 0x80],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

type Change = (bytes: Uint8Array, random: Random, others: readonly Uint8Array[]) => Uint8Array;

const overwrite = (bytes: Uint8Array, at: number, part: ArrayLike<number>): Uint8Array => {
  const copy = bytes.slice();
  for (let i = 0; i < part.length && at + i < copy.length; i++) copy[at + i] = part[i] ?? 0;
  return copy;
};
const splice = (bytes: Uint8Array, at: number, gone: number, part: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at + gone)]));

const changes: readonly Change[] = [
  (bytes, random) => overwrite(bytes, random.below(bytes.length), [random.below(256)]),
  (bytes, random) => {
    const at = random.below(bytes.length);
    return overwrite(bytes, at, [(bytes[at] ?? 0) ^ (1 << random.below(8))]);
  },
  (bytes, random) => overwrite(bytes, random.below(bytes.length), [random.pick(telling)]),
  (bytes, random) => overwrite(bytes, random.below(bytes.length), random.pick(numbers)),
  (bytes, random) => bytes.slice(0, random.below(bytes.length)),
  (bytes, random) => splice(bytes, random.below(bytes.length), random.below(16) + 1, new Uint8Array(0)),
  (bytes, random) => splice(bytes, random.below(bytes.length), 0, new Uint8Array([random.pick(telling)])),
  (bytes, random) => {
    // A part comes twice: lengths, brackets, headers.
    const from = random.below(bytes.length);
    const part = bytes.slice(from, from + random.below(64) + 1);
    return splice(bytes, random.below(bytes.length), 0, part);
  },
  (bytes, random) => {
    const size = random.pick([16, 100, 1000]);
    return splice(bytes, random.below(bytes.length), 0, new Uint8Array(size).fill(random.pick(telling)));
  },
  (bytes, random, others) => {
    const other = random.pick(others);
    const from = random.below(other.length + 1);
    return splice(bytes, random.below(bytes.length), random.below(32), other.slice(from, from + random.below(200)));
  },
];

/** One of the samples with one to eight changes. */
export function mutate(samples: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes: Uint8Array = random.pick(samples).slice();
  for (let count = random.below(8) + 1; count > 0; count--) {
    bytes = bytes.length === 0 ? random.pick(samples).slice() : random.pick(changes)(bytes, random, samples);
  }
  return bytes;
}
