/**
 * Options of CRIU's that runc has no flags for, in a file that runc has CRIU read.
 *
 * CRIU puts processes back into the control group that they were in, unless it is told of another root. runc tells it for version 1; for version 2
 * not before its release 1.2: the processes were outside of the new container's group then, of its limits too, and couldn't be frozen for another
 * checkpoint.
 *
 * Sources: runc, docs/checkpoint-restore.md (annotation `org.criu.config`); criu(8), "Configuration files" and `--cgroup-root`; how runc names a
 * group: runc, docs/systemd.md and libcontainer's cgroup managers.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { failedPrecondition, invalidArgument } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";

/** Names CRIU's file of options in a spec; empty for none. */
const annotation = "org.criu.config";
/** What runc has CRIU read where a spec doesn't say. */
const usual = "/etc/criu/runc.conf";

/** The parts of a spec that matter here. */
export interface RestoredSpec {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly linux?: { readonly cgroupsPath?: string };
}

/** Whose control group it is. */
export interface CgroupOwner {
  readonly id: string;
  readonly systemdCgroup: boolean;
  /** The group that runc itself runs in. */
  readonly ownCgroup: string;
}

/**
 * Writes options to `file` by which CRIU restores processes into the container's own group of a version 2 hierarchy.
 * What is in the file that the spec, or else runc, names comes behind it, and holds if it says otherwise.
 * @returns the spec's annotations with the one that has runc use them
 * @throws InvalidArgument for a control group that can't be; FailedPrecondition for one that the file's format has no way to write
 */
export function restoreInOwnCgroup(
  { annotations = {}, linux }: RestoredSpec,
  file: string,
  owner: CgroupOwner,
): Readonly<Record<string, string>> {
  const path = groupOf(linux?.cgroupsPath ?? "", owner);
  if (/["#\\\n]/.test(path))
    throw failedPrecondition(
      `cgroup "${path}" has a character that CRIU's options can't hold: no container is restored there`,
    );
  // The empty name before the colon is that of version 2's hierarchy.
  writeFileSync(file, `cgroup-root ":${path}"\n${textOf(annotations[annotation] ?? usual)}`, { mode: 0o600 });
  return { ...annotations, [annotation]: file };
}

/** Where runc puts a container in the hierarchy. */
export function groupOf(cgroupsPath: string, { id, systemdCgroup, ownCgroup }: CgroupOwner): string {
  if (!systemdCgroup) {
    if (cgroupsPath.startsWith("/")) return normalize(cgroupsPath);
    return join(dirname(ownCgroup), normalize(`/${cgroupsPath === "" ? id : cgroupsPath}`));
  }
  const parts = cgroupsPath === "" ? ["", "runc", id] : cgroupsPath.split(":");
  const [slice = "", prefix = "", name = ""] = parts;
  if (parts.length !== 3) throw invalidArgument(`cgroupsPath "${cgroupsPath}" is not of the form "slice:prefix:name"`);
  const scope = prefix === "" ? `${name}.scope` : `${prefix}-${name}.scope`;
  return join(directoryOf(slice === "" ? "system.slice" : slice), name.endsWith(".slice") ? name : scope);
}

/** The path of a slice, whose name has those above it before dashes (systemd.slice(5)). */
function directoryOf(slice: string): string {
  const name = slice.replace(/\.slice$/, "");
  if (name === slice || name.includes("/")) throw invalidArgument(`"${slice}" is not the name of a systemd slice`);
  if (name === "-") return "/";
  const parts = name.split("-");
  return `/${parts.map((_, at) => `${parts.slice(0, at + 1).join("-")}.slice`).join("/")}`;
}

/** A file's text; CRIU passes over one that it can't open. */
function textOf(file: string): string {
  if (file === "") return "";
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT", "EACCES", "EISDIR")) return "";
    throw error;
  }
}
