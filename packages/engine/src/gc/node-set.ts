import { hash32 } from "@hull/sys/hash";
import type { Node } from "./labels.ts";

/**
 * A set of nodes that keeps 53 bits of hash of each and not its name: 16 bytes a node however long names are, and nothing for the
 * runtime's own collector to walk. Two names may be taken for one another, once in 90 million collections of 100,000: the collector asks
 * only what to keep, so that one thing too many stays until a later run.
 */
export class NodeSet {
  /** Open addressing; 0 is an empty slot. */
  #slots = new Float64Array(1024);
  #size = 0;

  has(node: Node): boolean {
    return this.#slots[this.#find(this.#slots, hashOf(node))] !== 0;
  }

  /** True if it was not in yet. */
  add(node: Node): boolean {
    const hash = hashOf(node);
    const slot = this.#find(this.#slots, hash);
    if (this.#slots[slot] !== 0) return false;
    this.#slots[slot] = hash;
    if (++this.#size * 2 > this.#slots.length) this.#grow();
    return true;
  }

  get size(): number {
    return this.#size;
  }

  #find(slots: Float64Array, hash: number): number {
    // The length is a power of two; `&` takes the lower 32 bits of the hash.
    const mask = slots.length - 1;
    let slot = hash & mask;
    while (slots[slot] !== 0 && slots[slot] !== hash) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const slots = new Float64Array(this.#slots.length * 2);
    for (const hash of this.#slots) if (hash !== 0) slots[this.#find(slots, hash)] = hash;
    this.#slots = slots;
  }
}

function hashOf(node: Node): number {
  return (hash32(node, 1) & 0x1fffff) * 0x1_0000_0000 + hash32(node, 2) || 1;
}
