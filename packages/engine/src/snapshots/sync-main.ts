/** A process of its own that waits until file systems are on disk: nothing else can wait for that without standing still. */

import { close, open, openFlags, syncFileSystem } from "@hull/sys/fd";

/** Syncs the file systems of these directories. @returns the exit status */
export async function runSync(directories: readonly string[]): Promise<number> {
  for (const directory of directories) {
    const descriptor = open(directory, openFlags.directory);
    try {
      syncFileSystem(descriptor);
    } finally {
      close(descriptor);
    }
  }
  return 0;
}
