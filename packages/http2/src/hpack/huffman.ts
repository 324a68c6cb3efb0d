import { compressionError } from "./integer.ts";

/**
 * The Huffman code of header strings (RFC 7541, section 5.2 and appendix B), for reading only: over a local socket the bytes that it
 * spares are worth less than the work.
 *
 * The code is canonical: sorted by length and then by symbol, each code is the one before it plus one. So the lengths say it all.
 */

/** Bits in the code of each byte, as digits of base 36, sixteen bytes to a row. The end of string (256) has 30, all ones. */
const lengths = [
  "dnsssssssoussuss",
  "ssssssusssssssss",
  "6aacd68baa8b8666",
  "555666666678f6ca",
  "d677777777777777",
  "77777777878djde6",
  "f565656665776665",
  "67655677777fbeds",
  "kmkkmmmnmnnnnnon",
  "oomnonnnnlmnmnno",
  "mlkmmnnlnmmolmnn",
  "llmlnmnnkmmmnmmn",
  "qqkjmnmpqqqrrqop",
  "jlqrrqrollqqsrrr",
  "koklmllnmmppooqn",
  "qrqqrrrrrsrrrrrq",
].join("");

const endOfString = 256;
const longestCode = 30;

/**
 * The code as a tree: at 2n and 2n + 1 where a 0 and a 1 lead from node n. Positive: another node; negative: -1 - symbol. Zero is the
 * root, where nothing leads.
 */
let tree: Int16Array | undefined;

function buildTree(): Int16Array {
  const nodes = new Int16Array(2 * 256);
  let used = 1;
  const add = (symbol: number, code: number, length: number): void => {
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const edge = 2 * node + ((code >>> bit) & 1);
      if (nodes[edge] === 0) nodes[edge] = used++;
      node = nodes[edge] ?? 0;
    }
    nodes[2 * node + (code & 1)] = -1 - symbol;
  };
  let code = 0;
  for (let length = 1; length <= longestCode; length++) {
    const digit = length.toString(36);
    for (let symbol = 0; symbol < endOfString; symbol++) if (lengths[symbol] === digit) add(symbol, code++, length);
    if (length < longestCode) code *= 2;
  }
  add(endOfString, code, longestCode);
  return nodes;
}

/**
 * Decodes into `out`, which has room for 8/5 of the bytes; returns how many were written.
 * @throws ConnectionError for a padding that isn't the beginning of the end of string, or for the end of string itself
 */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number, out: Uint8Array): number {
  tree ??= buildTree();
  let length = 0;
  let node = 0;
  let depth = 0;
  let onlyOnes = true;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    for (let shift = 7; shift >= 0; shift--) {
      const bit = (byte >>> shift) & 1;
      const next = tree[2 * node + bit] ?? 0;
      if (next > 0) {
        node = next;
        depth++;
        if (bit === 0) onlyOnes = false;
      } else {
        const symbol = -1 - next;
        if (symbol === endOfString) throw compressionError("a string of a header block contains the end of string");
        out[length++] = symbol;
        node = 0;
        depth = 0;
        onlyOnes = true;
      }
    }
  }
  if (depth > 7 || !onlyOnes) throw compressionError("a string of a header block is not padded as it should");
  return length;
}
