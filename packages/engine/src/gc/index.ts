/**
 * The garbage collector: removes what no root reaches.
 *
 * Roots are leases, images, containers, running ingests and things labelled so; edges are targets, parents and `containerd.io/gc.ref.*`
 * labels (catalogue: `labels.ts` beside this). `scheduler.ts` decides when; deletions and many changes ask for a run.
 */
export interface GarbageCollector {
  /** Tells that something was deleted or changed, so that a run may be due. */
  changed(kind: "deletion" | "mutation"): void;
  /** Runs now (joining none that is under way) and waits for the disk clean-up too. */
  collect(): Promise<CollectionStats>;
  /** Stops scheduling and waits for a run under way. */
  close(): Promise<void>;
}

export interface CollectionStats {
  /** ms that creations waited */
  pauseMs: number;
  removed: { images: number; content: number; snapshots: number; leases: number; ingests: number };
}
