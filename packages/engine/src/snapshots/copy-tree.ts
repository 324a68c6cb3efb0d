import { unavailable, unknown } from "@hull/errors";
import { startProgram, which } from "@hull/sys/program";
import { lastWords } from "../last-words.ts";

/**
 * Copies the directory `from` onto the empty directory `to` with all there is to it: owners, modes, times, extended attributes, ACLs, hard
 * links, devices, holes; blocks are shared where the file system can. The work is done by cp of GNU coreutils, in a process of its own.
 *
 * @throws Unavailable if there is no such cp; Unknown with cp's words if it fails; the signal's reason if that aborts (`to` is left as it is)
 */
export async function copyTree(from: string, to: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const program = which("cp");
  if (program === null) throw unavailable(`can't copy "${from}": no program "cp", install GNU coreutils`);
  const child = startProgram([program, "--archive", "--reflink=auto", "--no-target-directory", "--", from, to], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { LC_ALL: "C" },
    signal,
  });
  const [words, code] = await Promise.all([lastWords(child.stderr), child.exited]);
  signal.throwIfAborted();
  if (code !== 0) throw unknown(`copy of "${from}" failed: ${words.split("\n").slice(-3).join("; ")}`);
}
