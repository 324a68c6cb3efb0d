/**
 * Moving in: taking over what a stopped containerd has, and giving it back.
 *
 *   containerd's root ──migrate──► hull's root ──undo──► containerd's root
 *
 * Records are copied into hull's metadata; containerd's own databases are only read. Blobs get a second name (a hard link), so each side
 * may delete its own. The directories of snapshots are renamed: they are one or the other's. So both roots have to be on one file system.
 *
 * A journal in hull's root says what is moved, before it is: after a crash `migrate` goes on where it was, and until it is done no daemon
 * starts on the root.
 */

import { existsSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { failedPrecondition } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { mountInfo } from "@hull/sys/mount";
import { Metadata } from "../metadata/index.ts";
import { beginJournal, finishJournal, type Journal, readJournal, retireJournal, syncDirectory } from "./journal.ts";
import { type ContainerdRecords, folders, readRecords } from "./records.ts";
import { writeRecords } from "./write-records.ts";

/** The snapshotters whose directories are the same in both. */
const knownSnapshotters = ["overlayfs", "native"];

/** What was moved. */
export interface Summary {
  readonly namespaces: number;
  readonly images: number;
  readonly containers: number;
  readonly sandboxes: number;
  readonly snapshots: number;
  readonly leases: number;
  readonly blobs: number;
  /** bytes */
  readonly blobBytes: number;
}

export interface MigrateOptions {
  /** A containerd's root. */
  readonly from: string;
  /** hull's root, held by the caller's lock. */
  readonly to: string;
  /** Told what is being done, and how far it is. */
  readonly progress?: (step: "blobs" | "snapshots", done: number, all: number) => void;
}

/**
 * Takes over what a containerd has.
 *
 * @throws NotFound if `from` is no containerd's root; FailedPrecondition if a containerd or a container of its works on it, if `to` has
 *   records already or is on another file system, or for snapshots of a snapshotter whose directories hull doesn't know
 */
export function migrate({ from, to, progress = () => {} }: MigrateOptions): Summary {
  const source = resolve(from);
  const records = readRecords(source);
  const begun = readJournal(to);
  if (begun?.state === "done") throw failedPrecondition(`"${to}" has been migrated from "${begun.from}" already`);
  if (begun !== undefined && begun.from !== source) {
    throw failedPrecondition(`a migration from "${begun.from}" to "${to}" isn't finished: give that one, or --undo it`);
  }
  requireMovable(source, to, records);
  const journal = begun !== undefined && hasRecords(to) ? begun : begin(source, to, records);
  linkBlobs(source, to, records, progress);
  journal.moves.forEach((move, index) => {
    renameIfThere(join(source, move.from), join(to, move.to));
    progress("snapshots", index + 1, journal.moves.length);
  });
  syncParents(journal, source, to);
  finishJournal(to);
  return summaryOf(records);
}

/** How an undoing went. */
export interface Undone {
  readonly from: string;
  readonly snapshots: number;
  /** Keys of snapshots that hull has removed meanwhile: containerd's records of them have no directories. */
  readonly missing: readonly string[];
  /** Where hull's own records were put. */
  readonly records: string;
}

/**
 * Gives back what was taken over. hull's records are put aside; its blobs go, containerd has its own names of them.
 *
 * @param force also if snapshots were removed or records were made since
 * @throws FailedPrecondition if nothing was taken over; without `force`, for what would be missing
 */
export function undoMigration(to: string, { force = false }: { force?: boolean } = {}): Undone {
  const journal = readJournal(to);
  if (journal === undefined) throw failedPrecondition(`nothing was migrated to "${to}"`);
  requireUnmounted(to);
  const missing = journal.moves.filter(
    (move) => !existsSync(join(to, move.to)) && !existsSync(join(journal.from, move.from)),
  );
  if (!force) {
    const since = recordsSince(to, journal);
    if (missing.length > 0 || since.length > 0) {
      const lost = missing.length > 0 ? [`${missing.length} snapshots that hull has removed`] : [];
      throw failedPrecondition(
        `undoing would do without ${[...lost, ...since].join(", ")}: use --force if that is what you want`,
      );
    }
  }
  for (const move of journal.moves) renameIfThere(join(to, move.to), join(journal.from, move.from));
  syncParents(journal, journal.from, to);
  const records = join(to, folders.metadata);
  const aside = `${records}.undone-${Date.now()}`;
  renameSync(records, aside);
  rmSync(join(to, folders.content, "blobs"), { recursive: true, force: true });
  retireJournal(to, journal.state);
  return {
    from: journal.from,
    snapshots: journal.moves.length - missing.length,
    missing: missing.map(({ key }) => key),
    records: aside,
  };
}

function requireMovable(from: string, to: string, records: ContainerdRecords): void {
  const strange = records.snapshots.filter(({ snapshotter }) => !knownSnapshotters.includes(snapshotter));
  if (strange.length > 0) {
    const names = [...new Set(strange.map(({ snapshotter }) => snapshotter))].join(", ");
    throw failedPrecondition(
      `"${from}" has ${strange.length} snapshots of ${names}, whose files hull can't take over: remove them there first`,
    );
  }
  requireUnmounted(from);
  mkdirSync(to, { recursive: true, mode: 0o711 });
  if (statSync(from).dev !== statSync(to).dev) {
    throw failedPrecondition(
      `"${from}" and "${to}" are on different file systems, between which nothing can be moved: choose another --root`,
    );
  }
}

/** A mounted snapshot is in use, and may not go elsewhere. */
function requireUnmounted(root: string): void {
  const mounted = mountInfo().filter((mount) => [...mount.superOptions, mount.root].join(",").includes(`${root}/`));
  if (mounted.length === 0) return;
  const places = mounted.map(({ target }) => `"${target}"`).join(", ");
  throw failedPrecondition(`snapshots of "${root}" are mounted at ${places}: stop the containers first`);
}

/** Writes records and journal; from then on the migration can be gone on with. */
function begin(from: string, to: string, records: ContainerdRecords): Journal {
  for (const name of knownSnapshotters) {
    mkdirSync(join(to, folders.snapshotter(name), "snapshots"), { recursive: true, mode: 0o700 });
  }
  using metadata = Metadata.open(join(to, folders.metadata));
  const present = countsOf(metadata).filter(({ count }) => count > 0);
  if (present.length > 0) {
    const what = present.map(({ table, count }) => `${count} ${table}`).join(", ");
    throw failedPrecondition(`"${to}" is in use already, with ${what}: choose another --root`);
  }
  return metadata.write(() => {
    const ids = writeRecords(metadata.sql, records);
    const moves = [...ids].map(([{ snapshotter, key, directory }, id]) => {
      const folder = join(folders.snapshotter(snapshotter), "snapshots");
      return { snapshotter, key, from: join(folder, directory), to: join(folder, String(id)) };
    });
    const journal = { from, at: Date.now(), moves };
    // Before the records are committed: a journal without them means that nothing was moved.
    beginJournal(to, journal);
    return { ...journal, state: "moving" };
  });
}

function linkBlobs(
  from: string,
  to: string,
  { blobs }: ContainerdRecords,
  progress: NonNullable<MigrateOptions["progress"]>,
): void {
  const paths = [...new Set(blobs.map(({ digest }) => digest))].map((digest) =>
    join(folders.content, "blobs", ...digest.split(":")),
  );
  paths.forEach((path, index) => {
    mkdirSync(join(to, path, ".."), { recursive: true, mode: 0o755 });
    try {
      linkSync(join(from, path), join(to, path));
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    }
    progress("blobs", index + 1, paths.length);
  });
  const algorithms = join(to, folders.content, "blobs");
  if (!existsSync(algorithms)) return;
  for (const algorithm of readdirSync(algorithms)) syncDirectory(join(algorithms, algorithm));
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    // Moved before a crash, or removed since.
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

function syncParents({ moves }: Journal, ...roots: readonly string[]): void {
  for (const snapshotter of new Set(moves.map((move) => move.snapshotter))) {
    for (const root of roots) syncDirectory(join(root, folders.snapshotter(snapshotter), "snapshots"));
  }
}

function hasRecords(to: string): boolean {
  using metadata = Metadata.open(join(to, folders.metadata));
  return countsOf(metadata).some(({ count }) => count > 0);
}

const tables = ["images", "containers", "sandboxes", "snapshots", "blobs"] as const;

function countsOf({ sql }: Metadata, where = "1"): { table: string; count: number }[] {
  return tables.map((table) => ({
    table,
    count: Number(sql.prepare(`SELECT count(*) AS count FROM ${table} WHERE ${where}`).get()?.count ?? 0),
  }));
}

/** What hull has recorded since the migration, in words. */
function recordsSince(to: string, { at, state }: Journal): string[] {
  if (state !== "done") return [];
  using metadata = Metadata.open(join(to, folders.metadata));
  return countsOf(metadata, `created_at > ${at}000000`)
    .filter(({ count }) => count > 0)
    .map(({ table, count }) => `${count} ${table} that were made since`);
}

function summaryOf(records: ContainerdRecords): Summary {
  const sizes = new Map(records.blobs.map(({ digest, size }) => [digest, size]));
  return {
    namespaces: records.namespaces.length,
    images: records.images.length,
    containers: records.containers.length,
    sandboxes: records.sandboxes.length,
    snapshots: records.snapshots.length,
    leases: records.leases.length,
    blobs: sizes.size,
    blobBytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
  };
}
