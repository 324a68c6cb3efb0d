import { nanosOfRfc3339 } from "@hull/api/timestamp";
import { parseDuration } from "../plugin/duration.ts";

/**
 * The labels that the collector reads, as containerd names them. `ref` keys may go on behind a `.` or `/` with anything that tells
 * one from another (`containerd.io/gc.ref.content.l.0`); those of snapshots name the snapshotter first.
 */
export const gcLabels = {
  /** Any value: content or a snapshot that is kept for itself. */
  root: "containerd.io/gc.root",
  /** RFC 3339. Lease: its end. Image: no root after it. Content, snapshot: root until then. */
  expire: "containerd.io/gc.expire",
  /** On a lease: keeps what it holds, not what that refers to. */
  flat: "containerd.io/gc.flat",
  /** Value: what this record keeps. Goes on with `content`, `image`, `mount` or `snapshot.<snapshotter>`. */
  reference: "containerd.io/gc.ref.",
  /** Value: what keeps this record. Goes on with `container`, `content`, `image` or `snapshot.<snapshotter>`. */
  backReference: "containerd.io/gc.bref.",
  /** Value `condition[,condition…]|key`: a back reference while all conditions hold, e.g. `usedat<3h|key`. */
  conditional: "containerd.io/gc.cond.",
  /** RFC 3339: what the condition `usedat` compares, as the age of the record's last use. */
  usedAt: "containerd.io/gc.cond.value-usedat",
} as const;

/** One thing that may be kept, within a namespace: its kind and its name there. */
export type NodeKind = "content" | "snapshot" | "image" | "container" | "ingest" | "sandbox" | "mount";

/** `kind` and name, e.g. `content sha256:…`, `snapshot overlayfs/key`. */
export type Node = `${NodeKind} ${string}`;

/** What a record's labels say of other things. */
export interface LabelEdges {
  /** What the record keeps. */
  references: Node[];
  /** What keeps the record. */
  backReferences: Node[];
}

/** Reads the references out of labels. A label that can't be read is none: a typing error must not stop a collection. */
export function edgesOf(labels: Readonly<Record<string, string>>, now: bigint): LabelEdges {
  const edges: LabelEdges = { references: [], backReferences: [] };
  for (const [key, value] of Object.entries(labels)) {
    if (value === "" || !key.startsWith("containerd.io/gc.")) continue;
    if (key.startsWith(gcLabels.reference)) {
      const node = nodeNamed(key.slice(gcLabels.reference.length), value);
      if (node !== undefined) edges.references.push(node);
    } else if (key.startsWith(gcLabels.backReference)) {
      const node = nodeNamed(key.slice(gcLabels.backReference.length), value);
      if (node !== undefined) edges.backReferences.push(node);
    } else if (key.startsWith(gcLabels.conditional) && key !== gcLabels.usedAt) {
      const node = conditionalNode(key.slice(gcLabels.conditional.length), value, labels, now);
      if (node !== undefined) edges.backReferences.push(node);
    }
  }
  return edges;
}

/** True if the label `containerd.io/gc.expire` names a time that has passed; one that can't be read has not. */
export function hasExpired(labels: Readonly<Record<string, string>>, now: bigint): boolean {
  const expiry = timeOf(labels[gcLabels.expire]);
  return expiry !== undefined && expiry <= now;
}

/** True if content or a snapshot is kept for its own sake. */
export function isLabelledRoot(labels: Readonly<Record<string, string>>, now: bigint): boolean {
  if ((labels[gcLabels.root] ?? "") !== "") return true;
  const expiry = timeOf(labels[gcLabels.expire]);
  return expiry !== undefined && expiry > now;
}

function nodeNamed(suffix: string, value: string): Node | undefined {
  const kind = suffix.slice(0, endOfPart(suffix, 0));
  switch (kind) {
    case "content":
    case "image":
    case "container":
    case "mount":
      return `${kind} ${value}`;
    case "snapshot": {
      const start = kind.length + 1;
      const snapshotter = suffix.slice(start, endOfPart(suffix, start));
      return snapshotter === "" ? undefined : `snapshot ${snapshotter}/${value}`;
    }
  }
  return undefined;
}

/** Where the part that begins at `start` ends: before the next `.` or `/`. */
function endOfPart(text: string, start: number): number {
  let end = start;
  while (end < text.length && text[end] !== "." && text[end] !== "/") end++;
  return end;
}

/** The node of `condition[,condition…]|key` if every condition holds. One that is not known holds: better kept than lost. */
function conditionalNode(
  suffix: string,
  value: string,
  labels: Readonly<Record<string, string>>,
  now: bigint,
): Node | undefined {
  const bar = value.indexOf("|");
  if (bar < 0) return undefined;
  for (const condition of value.slice(0, bar).split(",")) {
    const [, operator, duration] = /^usedat([<>])(.+)$/.exec(condition) ?? [];
    if (operator === undefined || duration === undefined) continue;
    const limit = durationOf(duration);
    const used = timeOf(labels[gcLabels.usedAt]);
    if (limit === undefined) continue;
    if (used === undefined) return undefined;
    if (operator === "<" ? now - used >= limit : now - used <= limit) return undefined;
  }
  return nodeNamed(suffix, value.slice(bar + 1));
}

function timeOf(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  try {
    return nanosOfRfc3339(text);
  } catch {
    return undefined;
  }
}

function durationOf(text: string): bigint | undefined {
  try {
    return BigInt(Math.round(parseDuration(text) * 1e6));
  } catch {
    return undefined;
  }
}
