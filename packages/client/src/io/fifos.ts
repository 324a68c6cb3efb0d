import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeFifo } from "@hull/sys/files";

/** Where FIFOs are made unless another directory is named. */
export const defaultFifoDirectory = "/run/hull/fifo";

/** What a task's process has for its stdio, as the API names it: paths of FIFOs, a log URI, or nothing ("") for /dev/null. */
export interface StdioPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

/**
 * FIFOs for a process, in a new directory (mode 0700) of their own. With a terminal there is no stderr.
 *
 * Whoever deletes the process removes them, which may be another client than the one that made them: see `removeFifos`.
 */
export function makeFifos(
  id: string,
  { terminal, directory = defaultFifoDirectory }: { terminal: boolean; directory?: string },
): StdioPaths {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const own = mkdtempSync(`${directory}/`);
  const path = (name: string): string => {
    const fifo = join(own, `${id}-${name}`);
    makeFifo(fifo, 0o700);
    return fifo;
  };
  try {
    return { stdin: path("stdin"), stdout: path("stdout"), stderr: terminal ? "" : path("stderr"), terminal };
  } catch (error) {
    rmSync(own, { recursive: true, force: true });
    throw error;
  }
}

/** Removes a process's FIFOs and the directories that are empty then. What is no plain path, or is gone, stays so. */
export function removeFifos({ stdin, stdout, stderr }: Omit<StdioPaths, "terminal">): void {
  const files = [stdin, stdout, stderr].filter((file) => file.startsWith("/") && file !== "/dev/null");
  for (const file of files) rmSync(file, { force: true });
  for (const directory of new Set(files.map((file) => dirname(file)))) {
    try {
      rmdirSync(directory);
    } catch {
      // Not empty: another's, or gone with its maker.
    }
  }
}
