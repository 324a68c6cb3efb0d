/** What a migration has moved, kept beside what it moved to, so that it can be gone on with after a crash, and undone. */

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dataLoss, failedPrecondition } from "@hull/errors";

/** A snapshot's directory: its paths below the roots. */
export interface Move {
  readonly snapshotter: string;
  readonly key: string;
  readonly from: string;
  readonly to: string;
}

export type JournalState = "moving" | "done";

export interface Journal {
  /** The containerd's root. */
  readonly from: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Until all is moved, a daemon doesn't start on the root. */
  readonly state: JournalState;
  readonly moves: readonly Move[];
}

/** The state is in the name, so that a daemon that starts needs no more than a look. */
const files = { moving: "migrating.json", done: "migrated.json" } as const;

/** @throws FailedPrecondition if a migration to this root was begun and not finished */
export function requireNoOpenMigration(root: string): void {
  if (!existsSync(join(root, files.moving))) return;
  const from = readJournal(root)?.from ?? "";
  throw failedPrecondition(
    `a migration from "${from}" to "${root}" isn't finished: run "hull migrate --from ${from}" again, or undo it by "hull migrate --undo"`,
  );
}

/** The journal in a root, undefined if nothing was moved there. @throws DataLoss if it can't be read */
export function readJournal(root: string): Journal | undefined {
  const state = (["moving", "done"] as const).find((candidate) => existsSync(join(root, files[candidate])));
  if (state === undefined) return undefined;
  const path = join(root, files[state]);
  try {
    return { ...(JSON.parse(readFileSync(path, "utf8")) as Omit<Journal, "state">), state };
  } catch (error) {
    throw dataLoss(`"${path}" can't be read, which says what was moved from containerd`, { cause: error });
  }
}

/** Writes the journal of a migration that begins; it is on disk when this returns. */
export function beginJournal(root: string, journal: Omit<Journal, "state">): void {
  const path = join(root, files.moving);
  const descriptor = openSync(`${path}.new`, "w", 0o600);
  try {
    writeFileSync(descriptor, JSON.stringify(journal));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(`${path}.new`, path);
  syncDirectory(root);
}

/** All is moved. */
export function finishJournal(root: string): void {
  renameSync(join(root, files.moving), join(root, files.done));
  syncDirectory(root);
}

/** All is moved back. */
export function retireJournal(root: string, state: JournalState): void {
  renameSync(join(root, files[state]), join(root, "migration-undone.json"));
  syncDirectory(root);
}

/** Waits until the names in a directory are on disk. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
