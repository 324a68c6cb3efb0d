import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { edgesOf, hasExpired, isLabelledRoot, type Node } from "./labels.ts";
import { emptyGraph, type Graph, mark } from "./mark.ts";

function marked(graph: Graph): Set<Node> {
  const work = mark(graph);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

const node = (index: number): Node => `snapshot s/${index}`;

/** Reachability by repeating one rule until nothing is added. */
function naive(graph: Graph): Set<Node> {
  const reached = new Set(graph.roots);
  for (let before = -1; before !== reached.size; ) {
    before = reached.size;
    for (const from of [...reached]) {
      const to = [graph.structure.get(from) ?? from, ...(graph.references.get(from) ?? [])];
      for (const next of to) reached.add(next);
    }
  }
  const flat = new Set(graph.flatRoots);
  for (let before = -1; before !== flat.size; ) {
    before = flat.size;
    for (const from of [...flat]) flat.add(graph.structure.get(from) ?? from);
  }
  return new Set([...reached, ...flat]);
}

describe("mark", () => {
  test("reaches exactly what a naive search does", () => {
    const index = fc.nat({ max: 30 });
    const pairs = fc.array(fc.tuple(index, index), { maxLength: 60 });
    fc.assert(
      fc.property(
        fc.array(index, { maxLength: 4 }),
        fc.array(index, { maxLength: 3 }),
        pairs,
        pairs,
        (roots, flat, parents, refs) => {
          const graph = emptyGraph();
          for (const root of roots) graph.roots.add(node(root));
          for (const root of flat) graph.flatRoots.add(node(root));
          for (const [from, to] of parents) graph.structure.set(node(from), node(to));
          for (const [from, to] of refs) {
            graph.references.set(node(from), [...(graph.references.get(node(from)) ?? []), node(to)]);
          }
          expect([...marked(graph)].sort()).toEqual([...naive(graph)].sort());
        },
      ),
      { numRuns: 500 },
    );
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
