import type { Node } from "./labels.ts";

/** What there is in a namespace, and what keeps what. */
export interface Graph {
  /** Everything that may be removed if nothing reaches it. */
  candidates: Set<Node>;
  roots: Set<Node>;
  /** Kept themselves; only the parents that they can't be without are kept with them. */
  flatRoots: Set<Node>;
  /** What a node keeps because it is made of it: an image's target, a snapshot's parent. */
  structure: Map<Node, Node>;
  /** What a node keeps by labels, its own or those of what names it. */
  references: Map<Node, Node[]>;
}

export function emptyGraph(): Graph {
  return {
    candidates: new Set(),
    roots: new Set(),
    flatRoots: new Set(),
    structure: new Map(),
    references: new Map(),
  };
}

/** Nodes between two pauses: well under a millisecond. */
const nodesPerStep = 500;

/** All that the roots reach. Gives its turn away every now and then: see `steps.ts`. */
export function* mark(graph: Graph): Generator<void, Set<Node>, void> {
  const reached = new Set<Node>();
  const waiting: Node[] = [];
  let done = 0;
  const reach = (node: Node | undefined) => {
    if (node === undefined || reached.has(node)) return;
    reached.add(node);
    waiting.push(node);
  };
  for (const root of graph.roots) {
    reach(root);
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      reach(graph.structure.get(node));
      for (const reference of graph.references.get(node) ?? []) reach(reference);
      if (++done % nodesPerStep === 0) yield;
    }
  }
  for (const root of graph.flatRoots) {
    for (let node: Node | undefined = root; node !== undefined && !reached.has(node); ) {
      reached.add(node);
      node = node.startsWith("snapshot ") ? graph.structure.get(node) : undefined;
      if (++done % nodesPerStep === 0) yield;
    }
  }
  return reached;
}
