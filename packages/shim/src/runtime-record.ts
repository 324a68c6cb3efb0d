/**
 * Putting a stopped container out of runc's books without runc's command: its control groups, which its record names, and the record itself.
 * That is all that `delete` does for a container with a pid namespace of its own, without hooks, whose groups systemd has no part in.
 *
 * Source: `destroy` in libcontainer/state_linux.go of runc 1.0 to 1.5, and the JSON of its state.json.
 */

import { readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "@hull/sys/errno";

/** What counts here of runc's state.json. */
interface RuncState {
  cgroup_paths?: Record<string, string>;
  intel_rdt_path?: string;
}

/**
 * Removes a stopped container's control groups and record.
 *
 * @param directory runc's directory of the container
 * @returns false if that is not all, or didn't work: runc's command is to be run, which goes on from any state
 */
export function removeRuncRecord(directory: string): boolean {
  const paths = controlGroupsOf(join(directory, "state.json"));
  if (paths === undefined) return false;
  for (const path of paths) if (!removed(path)) return false;
  rmSync(directory, { recursive: true, force: true });
  return true;
}

function controlGroupsOf(file: string): string[] | undefined {
  let state: RuncState;
  try {
    state = JSON.parse(readFileSync(file, "utf8")) as RuncState;
  } catch {
    return undefined; // another runtime's, or none
  }
  if (state.cgroup_paths === undefined || (state.intel_rdt_path ?? "") !== "") return undefined;
  return Object.values(state.cgroup_paths);
}

/** Removes a group that may be gone already. False if it has others below, or processes that have not quite gone. */
export function removed(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return isErrno(error, "ENOENT");
  }
}
