import { readFileSync } from "node:fs";
import { hullCommand } from "../support/hull.ts";
import { type Outcome, runProgram, type Server, startServer } from "../support/process.ts";

/** Where a test's daemon is: below `folder`. */
export interface Place {
  readonly address: string;
  readonly root: string;
  readonly state: string;
}

export const placeIn = (folder: string): Place => ({
  address: `${folder}/hull.sock`,
  root: `${folder}/root`,
  state: `${folder}/state`,
});

/** The daemon's command line. Without `config` an empty file. */
export function daemonCommand({ address, root, state }: Place, config = "/dev/null", ...flags: string[]): string[] {
  const paths = ["--address", address, "--root", root, "--state", state];
  return [...hullCommand, "daemon", "--config", config, ...paths, ...flags];
}

/** Starts a daemon and waits until it serves. */
export const startDaemon = (place: Place, config?: string, ...flags: string[]): Promise<Server> =>
  startServer(daemonCommand(place, config, ...flags), /successfully booted/);

/** Runs a daemon that is expected to refuse. */
export const refused = (place: Place, config?: string, ...flags: string[]): Promise<Outcome> =>
  runProgram(daemonCommand(place, config, ...flags), { timeoutMs: 60_000 });

/** Processes that were started for a folder, by pid: their command lines name it. */
export async function processesOf(folder: string): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (const entry of new Bun.Glob("[0-9]*").scanSync({ cwd: "/proc", onlyFiles: false })) {
    try {
      const line = readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ");
      if (line.includes(folder)) found.set(Number(entry), line);
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** Waits, for up to forty seconds, until no process names a folder: shims that are spare notice their daemon's end a moment later. */
export async function leftIn(folder: string): Promise<string[]> {
  for (let i = 0; i < 2000 && (await processesOf(folder)).size > 0; i++) await Bun.sleep(20);
  return [...(await processesOf(folder)).values()];
}
