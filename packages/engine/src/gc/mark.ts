import type { Node } from "./labels.ts";
import { NodeSet } from "./node-set.ts";

/** What a node keeps. */
export interface Kept {
  /** What it is made of: an image's target, a snapshot's parent. */
  structure?: Node;
  /** By labels, its own or those of what names it. */
  references: readonly Node[];
}

/** What there is in a namespace, and what keeps what. */
export interface Graph {
  roots: readonly Node[];
  /** Kept themselves; only the parents that they can't be without are kept with them. */
  flatRoots: readonly Node[];
  /** May be what it kept when the graph was looked through, for a node that wasn't written since. */
  keptBy(node: Node): Kept;
  /** What it keeps now. */
  keptNow(node: Node): Kept;
}

/** Nodes between two pauses: well under a millisecond. */
const nodesPerStep = 50;

/** All that the roots reach. Gives its turn away every now and then: see `steps.ts`. */
export function* mark(graph: Graph): Generator<void, NodeSet, void> {
  const reached = new NodeSet();
  let done = 0;
  for (const root of graph.roots) {
    if (!reached.add(root)) continue;
    const waiting = [root];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      reach(graph.keptBy(node), reached, waiting);
      if (++done % nodesPerStep === 0) yield;
    }
  }
  for (const root of graph.flatRoots) {
    for (let node: Node | undefined = root; node !== undefined && reached.add(node); ) {
      node = node.startsWith("snapshot ") ? graph.keptBy(node).structure : undefined;
      if (++done % nodesPerStep === 0) yield;
    }
  }
  return reached;
}

/**
 * Adds nodes that were written since they were perhaps looked at, and all that they keep. Beyond a node that was reached before and not
 * written nothing has to be looked for.
 */
export function markWritten(graph: Graph, written: readonly Node[], reached: NodeSet): void {
  const waiting: Node[] = [];
  for (const node of new Set(written)) {
    reached.add(node);
    reach(graph.keptNow(node), reached, waiting);
  }
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) reach(graph.keptBy(node), reached, waiting);
}

function reach({ structure, references }: Kept, reached: NodeSet, waiting: Node[]): void {
  if (structure !== undefined && reached.add(structure)) waiting.push(structure);
  for (const reference of references) if (reached.add(reference)) waiting.push(reference);
}
