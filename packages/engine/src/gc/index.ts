/**
 * The garbage collector: removes what no root reaches.
 *
 *   changed ──► scheduler ──► mark (read every record, follow what they keep) ──► sweep (records) ──► clean-up (files, directories)
 *
 * Roots are leases, images, containers, sandboxes, running ingests and things labelled so; edges are targets, parents and
 * `containerd.io/gc.ref.*` labels (catalogue: `labels.ts` beside this). `scheduler.ts` decides when.
 *
 * Nobody waits for a collection: it reads and removes in small steps, between which everything else goes on. What was written since
 * it began is noted (`barrier.ts`), and before each step of the sweep all that the written records keep is taken off the list.
 * Bytes on disk go after their records' end is on disk too.
 */
export interface GarbageCollector {
  /** Tells that something was deleted or changed, so that a run may be due. */
  changed(kind: "deletion" | "mutation"): void;
  /** Runs now (joining none that is under way) and waits for the disk clean-up too. */
  collect(): Promise<CollectionStats>;
  /** Tells of every run that ends from now on, for whoever counts them. */
  observe(listener: (run: ObservedRun) => void): void;
  /** Stops scheduling and waits for a run under way. */
  close(): Promise<void>;
}

export interface ObservedRun {
  readonly ok: boolean;
  /** How long it was busy, 0 if it failed. */
  readonly seconds: number;
}

export interface CollectionStats {
  /** ms of work in this process, the clean-up on disk aside. */
  busyMs: number;
  /** ms of the longest step: how long anyone had to wait. */
  pauseMs: number;
  removed: { images: number; content: number; snapshots: number; leases: number; ingests: number };
}

/** What removes files and directories that have no record any more: the content store's `collectGarbage`, a snapshotter's `cleanup`. */
export type CleanUp = () => Promise<unknown>;
