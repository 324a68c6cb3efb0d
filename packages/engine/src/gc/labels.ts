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
  /** Value: what this record keeps. Goes on with `content`, `image` or `snapshot.<snapshotter>`. */
  reference: "containerd.io/gc.ref.",
  /** Value: what keeps this record. Goes on with `container`, `content`, `image` or `snapshot.<snapshotter>`. */
  backReference: "containerd.io/gc.bref.",
  /** Value `condition[,condition…]|key`: a back reference while all conditions hold, e.g. `usedat<3h|key`. */
  conditional: "containerd.io/gc.cond.",
  /** RFC 3339: what the condition `usedat` compares, as the age of the record's last use. */
  usedAt: "containerd.io/gc.cond.value-usedat",
} as const;
