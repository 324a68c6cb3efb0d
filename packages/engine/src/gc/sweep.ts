import { ContentDelete } from "@hull/api/gen/containerd/events/content";
import { ImageDelete } from "@hull/api/gen/containerd/events/image";
import { SnapshotRemove } from "@hull/api/gen/containerd/events/snapshot";
import { encodeAny } from "@hull/api/typeurl";
import type { EventExchange } from "../events/index.ts";
import type { Metadata } from "../metadata/index.ts";
import type { WriteBarrier } from "./barrier.ts";
import type { CollectionStats } from "./index.ts";
import type { Node } from "./labels.ts";
import { type Graph, markWritten } from "./mark.ts";
import type { NodeSet } from "./node-set.ts";
import { deleteRecord, nodePages, partsOf } from "./records.ts";

export interface Sweep {
  metadata: Metadata;
  events: Pick<EventExchange, "publish">;
  barrier: WriteBarrier;
  namespace: string;
  graph: Graph;
  reached: NodeSet;
  expiredLeases: readonly string[];
  removed: CollectionStats["removed"];
}

/** What may go if nothing keeps it. */
const removableKinds = ["image", "mount", "snapshot", "content", "ingest"] as const;

/**
 * Removes the records of a namespace that nothing keeps, a few in each transaction. Each transaction first reaches what was written
 * meanwhile and all that this keeps.
 */
export function* sweep(run: Sweep): Generator<void, void, void> {
  const { metadata, namespace, reached } = run;
  yield* removeLeases(run);
  for (const kind of removableKinds) {
    for (const nodes of nodePages(metadata.sql, namespace, kind)) {
      if (nodes.some((node) => !reached.has(node))) {
        const gone = metadata.write(() => {
          markWritten(run.graph, run.barrier.drain(namespace), reached);
          return nodes.flatMap((node) => remove(run, node));
        });
        for (const node of gone) tell(run, node);
      }
      yield;
    }
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

/**
 * Removes a record unless it was reached. A snapshot with children waits for the last of them, which takes it along: they can't have
 * been reached either.
 */
function remove(run: Sweep, node: Node): Node[] {
  const { sql } = run.metadata;
  const gone: Node[] = [];
  for (let next: Node | undefined = node; next !== undefined && !run.reached.has(next); ) {
    const isSnapshot: boolean = next.startsWith("snapshot ");
    if (isSnapshot && hasChildren(run, next)) break;
    const parent: Node | undefined = isSnapshot ? run.graph.keptNow(next).structure : undefined;
    if (deleteRecord(sql, run.namespace, next) > 0) gone.push(next);
    next = parent;
  }
  return gone;
}

function hasChildren({ metadata, namespace }: Sweep, snapshot: Node): boolean {
  const child = metadata.sql.prepare(
    `SELECT 1 FROM snapshots WHERE parent_id = (SELECT id FROM snapshots WHERE namespace = ? AND snapshotter = ? AND key = ?) LIMIT 1`,
  );
  return child.get(namespace, ...partsOf(snapshot).keys) !== undefined;
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
    case "mount":
    case "container":
    case "sandbox":
      return;
  }
}
