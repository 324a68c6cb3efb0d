import { statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type LogPlace, olderLogs } from "./place.ts";

/** One of the files that a log is or was. Its name moves on each time the log begins anew, its inode stays. */
export interface ListedLog {
  readonly path: string;
  readonly inode: number;
}

/** The files of a log, the oldest first. They are renamed one by one: what two looks agree on is how they were. */
export function logFiles(place: LogPlace): ListedLog[] {
  for (let before = look(place); ; ) {
    const now = look(place);
    if (now.length === before.length && now.every(({ inode }, at) => inode === before[at]?.inode)) return now;
    before = now;
  }
}

function look(place: LogPlace): ListedLog[] {
  return [...olderLogs(place), place.file].flatMap((path) => {
    const inode = statSync(path, { throwIfNoEntry: false })?.ino;
    return inode === undefined ? [] : [{ path, inode }];
  });
}

/** Opens a file that was listed, whatever its name is by now. @returns undefined if it is gone */
export async function openListed(place: LogPlace, listed: ListedLog): Promise<FileHandle | undefined> {
  for (let file: ListedLog | undefined = listed; file !== undefined; ) {
    const handle = await openIfThere(file.path);
    if (handle !== undefined) {
      if ((await handle.stat()).ino === listed.inode) return handle;
      await handle.close();
    }
    file = logFiles(place).find(({ inode }) => inode === listed.inode);
  }
  return undefined;
}

/** @returns undefined if there is no such file */
export async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
