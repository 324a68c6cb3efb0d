import { ContentDelete } from "@hull/api/gen/containerd/events/content";
import { ImageDelete } from "@hull/api/gen/containerd/events/image";
import { SnapshotRemove } from "@hull/api/gen/containerd/events/snapshot";
import { encodeAny } from "@hull/api/typeurl";
import type { EventExchange } from "../events/index.ts";
import type { Metadata } from "../metadata/index.ts";
import type { WriteBarrier } from "./barrier.ts";
import type { CollectionStats } from "./index.ts";
import type { Node } from "./labels.ts";
import type { Graph } from "./mark.ts";
import { deleteRecord, partsOf, readRecord } from "./records.ts";

/** Records per transaction: under two milliseconds. */
const batchSize = 50;

export interface Sweep {
  metadata: Metadata;
  events: Pick<EventExchange, "publish">;
  barrier: WriteBarrier;
  namespace: string;
  now: bigint;
  graph: Graph;
  reached: ReadonlySet<Node>;
  expiredLeases: readonly string[];
  removed: CollectionStats["removed"];
}

/**
 * Removes the records of a namespace that nothing keeps, a few in each transaction, children before their parents. Each transaction
 * first spares what was written meanwhile and all that this keeps.
 */
export function* sweep(run: Sweep): Generator<void, void, void> {
  const { metadata, namespace, graph, reached } = run;
  const garbage = new Set<Node>();
  let seen = 0;
  for (const node of graph.candidates) {
    if (!reached.has(node)) garbage.add(node);
    if (++seen % 2000 === 0) yield;
  }
  yield* removeLeases(run);
  const order = yield* inOrder(garbage, graph);
  for (let index = 0; index < order.length; index += batchSize) {
    const gone: Node[] = [];
    metadata.write(() => {
      spare(run, garbage);
      for (const node of order.slice(index, index + batchSize)) {
        if (garbage.delete(node) && deleteRecord(metadata.sql, namespace, node) > 0) gone.push(node);
      }
    });
    for (const node of gone) tell(run, node);
    yield;
  }
}

/** A lease's labels never change: one that has expired stays so. */
function* removeLeases({ metadata, namespace, expiredLeases, removed }: Sweep): Generator<void, void, void> {
  for (const id of expiredLeases) {
    removed.leases += metadata.write(() =>
      metadata.sql.prepare("DELETE FROM leases WHERE namespace = ? AND id = ?").run(namespace, id),
    );
    yield;
  }
}

/** The garbage with every snapshot before its parent. */
function* inOrder(garbage: ReadonlySet<Node>, graph: Graph): Generator<void, Node[], void> {
  const parentsFirst: Node[] = [];
  const placed = new Set<Node>();
  let done = 0;
  for (const node of garbage) {
    const chain: Node[] = [];
    for (let next: Node | undefined = node; next !== undefined && garbage.has(next) && !placed.has(next); ) {
      placed.add(next);
      chain.push(next);
      next = next.startsWith("snapshot ") ? graph.structure.get(next) : undefined;
    }
    parentsFirst.push(...chain.reverse());
    if (++done % 1000 === 0) yield;
  }
  return parentsFirst.reverse();
}

/**
 * Takes off the list what was written since the last call and all that it keeps. Beyond a record that isn't on the list nothing has
 * to be looked for: it was reached with all that it keeps, or was written too.
 */
function spare({ metadata, barrier, namespace, now, graph }: Sweep, garbage: Set<Node>): void {
  const written = barrier.drain(namespace);
  const waiting = [...written];
  const isWritten = new Set(written);
  const seen = new Set<Node>();
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (seen.has(node) || !(garbage.delete(node) || isWritten.has(node))) continue;
    seen.add(node);
    // References that others have to it stand in their own records, which the graph has read.
    waiting.push(...(graph.references.get(node) ?? []));
    const record = readRecord(metadata.sql, namespace, node, now);
    if (record === undefined) continue;
    waiting.push(...record.references);
    if (record.structure !== undefined) waiting.push(record.structure);
  }
}

function tell({ events, namespace, removed }: Sweep, node: Node): void {
  const { kind, keys } = partsOf(node);
  const [first = "", second = ""] = keys;
  switch (kind) {
    case "image":
      removed.images++;
      events.publish(
        { namespace },
        "/images/delete",
        encodeAny("containerd.services.images.v1.ImageDelete", ImageDelete, { name: first }),
      );
      return;
    case "content":
      removed.content++;
      events.publish(
        { namespace },
        "/content/delete",
        encodeAny("containerd.events.ContentDelete", ContentDelete, { digest: first }),
      );
      return;
    case "snapshot":
      removed.snapshots++;
      events.publish(
        { namespace },
        "/snapshot/remove",
        encodeAny("containerd.events.SnapshotRemove", SnapshotRemove, { key: second, snapshotter: first }),
      );
      return;
    case "ingest":
      removed.ingests++;
      return;
    case "container":
    case "sandbox":
      return;
  }
}
