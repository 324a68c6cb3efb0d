import type { Labels } from "../labels.ts";
import { textOf } from "../metadata/rows.ts";
import type { SqlDatabase, SqlRow, SqlValue } from "../metadata/sql.ts";
import { edgesOf, gcLabels, hasExpired, isLabelledRoot, type LabelEdges, type Node, type NodeKind } from "./labels.ts";
import type { Graph, Kept } from "./mark.ts";
import { NodeSet } from "./node-set.ts";

/** What one record says: itself, whether it is a root, what it keeps and what keeps it. */
export interface GcRecord extends LabelEdges, Kept {
  references: Node[];
  node: Node;
  isRoot: boolean;
}

interface Source {
  table: string;
  columns: string;
  /** The columns of the primary key behind the namespace, in order. */
  keys: readonly string[];
  read(row: SqlRow, now: bigint): GcRecord;
}

const none: LabelEdges = { references: [], backReferences: [] };

/** Most labels say nothing to the collector: those are not even parsed. */
function gcLabelsIn(row: SqlRow): Labels | undefined {
  const text = textOf(row.labels);
  return text.includes("containerd.io/gc.") ? (JSON.parse(text) as Labels) : undefined;
}

function labelled(row: SqlRow, now: bigint): LabelEdges & { isRoot: boolean } {
  const labels = gcLabelsIn(row);
  return labels === undefined
    ? { ...none, isRoot: false }
    : { ...edgesOf(labels, now), isRoot: isLabelledRoot(labels, now) };
}

/** How each kind of record is read. Snapshots stand with their parent's key. */
export const sources: Readonly<Record<NodeKind, Source>> = {
  image: {
    table: "images",
    columns: "name, labels, target_digest",
    keys: ["name"],
    read: (row, now) => {
      const labels = gcLabelsIn(row) ?? {};
      return {
        ...edgesOf(labels, now),
        node: `image ${textOf(row.name)}`,
        isRoot: !hasExpired(labels, now),
        structure: `content ${textOf(row.target_digest)}`,
      };
    },
  },
  container: {
    table: "containers",
    columns: "id, labels, snapshotter, snapshot_key",
    keys: ["id"],
    read: (row, now) => ({
      ...labelled(row, now),
      node: `container ${textOf(row.id)}`,
      isRoot: true,
      structure:
        row.snapshot_key === "" ? undefined : `snapshot ${textOf(row.snapshotter)}/${textOf(row.snapshot_key)}`,
    }),
  },
  sandbox: {
    table: "sandboxes",
    columns: "id, labels",
    keys: ["id"],
    read: (row, now) => ({
      ...labelled(row, now),
      node: `sandbox ${textOf(row.id)}`,
      isRoot: true,
    }),
  },
  snapshot: {
    table: "snapshots",
    columns:
      "snapshotter, key, labels, (SELECT parent.key FROM snapshots parent WHERE parent.id = snapshots.parent_id) AS parent",
    keys: ["snapshotter", "key"],
    read: (row, now) => ({
      ...labelled(row, now),
      node: `snapshot ${textOf(row.snapshotter)}/${textOf(row.key)}`,
      structure: typeof row.parent === "string" ? `snapshot ${textOf(row.snapshotter)}/${row.parent}` : undefined,
    }),
  },
  content: {
    table: "blobs",
    columns: "digest, labels",
    keys: ["digest"],
    read: (row, now) => ({ ...labelled(row, now), node: `content ${textOf(row.digest)}` }),
  },
  ingest: {
    table: "ingests",
    columns: "ref, expected, expires_at",
    keys: ["ref"],
    read: (row, now) => ({
      ...none,
      node: `ingest ${textOf(row.ref)}`,
      // Without an expiry a lease keeps it.
      isRoot: typeof row.expires_at === "bigint" && row.expires_at > now,
      structure: row.expected === "" ? undefined : `content ${textOf(row.expected)}`,
    }),
  },
  mount: {
    table: "mounts",
    columns:
      "name, labels, info IS NULL OR EXISTS (SELECT 1 FROM leases WHERE leases.namespace = mounts.namespace AND leases.id = mounts.lease) AS held",
    keys: ["name"],
    read: (row, now) => {
      const { isRoot, ...edges } = labelled(row, now);
      // One that is being made is nobody's yet.
      return { ...edges, node: `mount ${textOf(row.name)}`, isRoot: isRoot || Number(row.held) !== 0 };
    },
  },
};

export const kinds = Object.keys(sources) as NodeKind[];

/** A node's kind and its key columns' values. */
export function partsOf(node: Node): { kind: NodeKind; keys: string[] } {
  const space = node.indexOf(" ");
  const kind = node.slice(0, space) as NodeKind;
  const name = node.slice(space + 1);
  if (kind !== "snapshot") return { kind, keys: [name] };
  const slash = name.indexOf("/");
  return { kind, keys: [name.slice(0, slash), name.slice(slash + 1)] };
}

/** The node that a lease's resource names; undefined for a type that is not known. */
export function nodeOfResource(type: string, id: string): Node | undefined {
  switch (type) {
    case "content":
      return `content ${id}`;
    case "ingests":
      return `ingest ${id}`;
    case "images":
      return `image ${id}`;
  }
  return type.startsWith("snapshots/") ? `snapshot ${type.slice("snapshots/".length)}/${id}` : undefined;
}

/** One record as it is now. */
export function readRecord(sql: SqlDatabase, namespace: string, node: Node, now: bigint): GcRecord | undefined {
  const { kind, keys } = partsOf(node);
  const source = sources[kind];
  const where = source.keys.map((key) => `${key} = ?`).join(" AND ");
  const row = sql
    .prepare(`SELECT ${source.columns} FROM ${source.table} WHERE namespace = ? AND ${where}`)
    .get(namespace, ...keys);
  return row === undefined ? undefined : source.read(row, now);
}

export function deleteRecord(sql: SqlDatabase, namespace: string, node: Node): number {
  const { kind, keys } = partsOf(node);
  const source = sources[kind];
  const where = source.keys.map((key) => `${key} = ?`).join(" AND ");
  return sql.prepare(`DELETE FROM ${source.table} WHERE namespace = ? AND ${where}`).run(namespace, ...keys);
}

/** Rows per read: about half a millisecond. */
const pageSize = 100;

/** The names of one kind's records, in pages. A record that stays is in exactly one, whatever comes and goes meanwhile. */
export function* nodePages(sql: SqlDatabase, namespace: string, kind: NodeKind): Generator<Node[], void, void> {
  const { table, keys } = sources[kind];
  for (const rows of pages(sql, table, keys.join(", "), keys, namespace)) {
    yield rows.map((row): Node => `${kind} ${keys.map((key) => textOf(row[key])).join("/")}`);
  }
}

/**
 * Looks through a namespace for its roots and for what is kept by back references. What else a node keeps is read when it is reached,
 * so that memory is needed for the roots alone.
 */
export function* readGraph(
  sql: SqlDatabase,
  namespace: string,
  now: bigint,
): Generator<void, { graph: Graph; expiredLeases: string[] }, void> {
  const roots: Node[] = [];
  const keeping = new NodeSet();
  const flatRoots: Node[] = [];
  const keptByName = new Map<Node, Node[]>();
  for (const kind of kinds) {
    const { table, columns, keys, read } = sources[kind];
    for (const rows of pages(sql, table, columns, keys, namespace)) {
      for (const row of rows) {
        const { node, isRoot, structure, references, backReferences } = read(row, now);
        if (isRoot) roots.push(node);
        if (structure !== undefined || references.length > 0) keeping.add(node);
        for (const owner of backReferences) keptByName.set(owner, [...(keptByName.get(owner) ?? []), node]);
      }
      yield;
    }
  }
  const isFlat = new Map<string, boolean>();
  const expiredLeases: string[] = [];
  for (const rows of pages(sql, "leases", "id, labels", ["id"], namespace)) {
    for (const row of rows) {
      const labels = gcLabelsIn(row) ?? {};
      if (hasExpired(labels, now)) expiredLeases.push(textOf(row.id));
      else isFlat.set(textOf(row.id), Object.hasOwn(labels, gcLabels.flat));
    }
    yield;
  }
  for (const rows of pages(sql, "lease_resources", "lease, type, id", ["lease", "type", "id"], namespace)) {
    for (const row of rows) {
      const flat = isFlat.get(textOf(row.lease));
      const node = nodeOfResource(textOf(row.type), textOf(row.id));
      if (flat !== undefined && node !== undefined) (flat ? flatRoots : roots).push(node);
    }
    yield;
  }
  const keptNow = (node: Node): Kept => {
    const record = readRecord(sql, namespace, node, now);
    const named = keptByName.get(node) ?? [];
    return { structure: record?.structure, references: [...(record?.references ?? []), ...named] };
  };
  // Nine of ten are layers and the like, which keep nothing: those needn't be read again.
  const keptBy = (node: Node): Kept => (keeping.has(node) ? keptNow(node) : { references: keptByName.get(node) ?? [] });
  return { graph: { roots, flatRoots, keptBy, keptNow }, expiredLeases };
}

/** A namespace's rows in the order of their key. */
function* pages(
  sql: SqlDatabase,
  table: string,
  columns: string,
  keys: readonly string[],
  namespace: string,
): Generator<SqlRow[], void, void> {
  const list = keys.join(", ");
  const marks = keys.map(() => "?").join(", ");
  const page = sql.prepare(
    `SELECT ${columns} FROM ${table} WHERE namespace = ? AND (${list}) > (${marks}) ORDER BY ${list} LIMIT ${pageSize}`,
  );
  let last: SqlValue[] = keys.map(() => "");
  for (;;) {
    const rows = page.all(namespace, ...last);
    if (rows.length > 0) yield rows;
    const end = rows.at(-1);
    if (end === undefined || rows.length < pageSize) return;
    last = keys.map((key) => end[key] ?? "");
  }
}
