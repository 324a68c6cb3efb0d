import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { edgesOf, hasExpired, isLabelledRoot, type Node } from "./labels.ts";
import { type Graph, mark, markWritten } from "./mark.ts";
import { NodeSet } from "./node-set.ts";

function marked(graph: Graph): NodeSet {
  const work = mark(graph);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

const node = (index: number): Node => `snapshot s/${index}`;

interface Edges {
  roots: Node[];
  flatRoots: Node[];
  structure: Map<Node, Node>;
  references: Map<Node, Node[]>;
}

function graphOf({ roots, flatRoots, structure, references }: Edges): Graph {
  const keptNow = (from: Node) => ({ structure: structure.get(from), references: references.get(from) ?? [] });
  return { roots, flatRoots, keptBy: keptNow, keptNow };
}

/** Reachability by repeating one rule until nothing is added. */
function naive({ roots, flatRoots, structure, references }: Edges): Set<Node> {
  const closure = (start: Node[], next: (from: Node) => Node[]) => {
    const reached = new Set(start);
    for (let before = -1; before !== reached.size; ) {
      before = reached.size;
      for (const from of [...reached]) for (const to of next(from)) reached.add(to);
    }
    return reached;
  };
  const parents = (from: Node) => [structure.get(from) ?? from];
  const all = (from: Node) => [...parents(from), ...(references.get(from) ?? [])];
  return new Set([...closure(roots, all), ...closure(flatRoots, parents)]);
}

describe("mark", () => {
  const index = fc.nat({ max: 30 }).map(node);
  const pairs = fc.array(fc.tuple(index, index), { maxLength: 60 });
  const edges = fc
    .tuple(fc.array(index, { maxLength: 4 }), fc.array(index, { maxLength: 3 }), pairs, pairs)
    .map(([roots, flatRoots, parents, refs]): Edges => {
      const references = new Map<Node, Node[]>();
      for (const [from, to] of refs) references.set(from, [...(references.get(from) ?? []), to]);
      return { roots, flatRoots, structure: new Map(parents), references };
    });

  const expectReached = (reached: NodeSet, expected: Set<Node>) => {
    const all = Array.from({ length: 31 }, (_, at) => node(at));
    expect(all.filter((each) => reached.has(each))).toEqual(all.filter((each) => expected.has(each)));
    expect(reached.size).toBe(expected.size);
  };

  test("reaches exactly what a naive search does", () => {
    fc.assert(
      fc.property(edges, (graph) => expectReached(marked(graphOf(graph)), naive(graph))),
      { numRuns: 500 },
    );
  });

  test("what is written later is reached with all that it keeps", () => {
    fc.assert(
      fc.property(edges, index, fc.array(index), (graph, written, kept) => {
        const flatless = { ...graph, flatRoots: [] };
        const reached = marked(graphOf(flatless));
        graph.references.set(written, kept);
        markWritten(graphOf(flatless), [written, written], reached);
        const expected = naive({ ...flatless, roots: [...graph.roots, written] });
        for (const each of expected) expect(reached.has(each)).toBe(true);
      }),
    );
  });

  test("a node set is a set", () => {
    const set = new NodeSet();
    for (let at = 0; at < 20_000; at++) expect(set.add(node(at))).toBe(true);
    for (let at = 0; at < 20_000; at++) expect(set.add(node(at))).toBe(false);
    expect(set.has(node(20_000))).toBe(false);
    expect(set.size).toBe(20_000);
  });
});

describe("labels of the collector", () => {
  const now = 1_800_000_000_000_000_000n;
  const hours = (count: number) => new Date(Number(now / 1_000_000n) + count * 3_600_000).toISOString();

  test("references and back references", () => {
    const digest = "sha256:abc";
    expect(
      edgesOf(
        {
          "containerd.io/gc.ref.content": digest,
          "containerd.io/gc.ref.content.l.0": `${digest}0`,
          "containerd.io/gc.ref.content/x": `${digest}1`,
          "containerd.io/gc.ref.contents": "no",
          "containerd.io/gc.ref.snapshot.overlayfs": "chain",
          "containerd.io/gc.ref.snapshot.native/second": "chain/2",
          "containerd.io/gc.ref.snapshot": "no",
          "containerd.io/gc.ref.image.x": "docker.io/library/a:1",
          "containerd.io/gc.ref.unknown": "no",
          "containerd.io/gc.ref.content.empty": "",
          "containerd.io/gc.bref.container": "c1",
          "containerd.io/gc.bref.snapshot.overlayfs.z": "k",
          other: "no",
        },
        now,
      ),
    ).toEqual({
      references: [
        "content sha256:abc",
        "content sha256:abc0",
        "content sha256:abc1",
        "snapshot overlayfs/chain",
        "snapshot native/chain/2",
        "image docker.io/library/a:1",
      ],
      backReferences: ["container c1", "snapshot overlayfs/k"],
    });
  });

  test("conditional back references hold while their condition does", () => {
    const owner = (value: string, usedAt?: string) =>
      edgesOf(
        {
          "containerd.io/gc.cond.snapshot.overlayfs": value,
          ...(usedAt && { "containerd.io/gc.cond.value-usedat": usedAt }),
        },
        now,
      ).backReferences;
    expect(owner("usedat<3h|k", hours(-1))).toEqual(["snapshot overlayfs/k"]);
    expect(owner("usedat<3h|k", hours(-4))).toEqual([]);
    expect(owner("usedat>3h|k", hours(-4))).toEqual(["snapshot overlayfs/k"]);
    expect(owner("usedat<3h|k")).toEqual([]);
    expect(owner("moon=full|k")).toEqual(["snapshot overlayfs/k"]);
    expect(owner("no bar")).toEqual([]);
  });

  test("expiry and roots", () => {
    expect(hasExpired({ "containerd.io/gc.expire": hours(-1) }, now)).toBe(true);
    expect(hasExpired({ "containerd.io/gc.expire": hours(1) }, now)).toBe(false);
    expect(hasExpired({ "containerd.io/gc.expire": "tomorrow" }, now)).toBe(false);
    expect(hasExpired({}, now)).toBe(false);
    expect(isLabelledRoot({ "containerd.io/gc.root": "x" }, now)).toBe(true);
    expect(isLabelledRoot({ "containerd.io/gc.expire": hours(1) }, now)).toBe(true);
    expect(isLabelledRoot({ "containerd.io/gc.expire": hours(-1) }, now)).toBe(false);
  });
});
