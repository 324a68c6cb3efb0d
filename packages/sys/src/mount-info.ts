/** The mounts that a process sees: /proc/<pid>/mountinfo, proc(5). */

import { readFileSync } from "node:fs";
import { dataLoss } from "@hull/errors";

/** One line of mountinfo. */
export interface MountInfo {
  readonly id: number;
  readonly parent: number;
  /** "major:minor" of what stat gives for files on it. */
  readonly device: string;
  /** The directory of the file system that is mounted here. */
  readonly root: string;
  /** Where, as this process sees it. */
  readonly target: string;
  /** Options of this mount: "rw", "nosuid", … */
  readonly options: readonly string[];
  /** Propagation: "shared:7", "master:3", "propagate_from:2", "unbindable". */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Options of the file system behind it, which all its mounts share. */
  readonly superOptions: readonly string[];
}

/** The mounts of this process, or of another; in the order in which they were made. */
export function mountInfo(pid: number | "self" = "self"): MountInfo[] {
  return parseMountInfo(readFileSync(`/proc/${pid}/mountinfo`, "utf8"));
}

/**
 * Reads the text of a mountinfo file.
 *
 * @throws dataLoss for a line that isn't of that form.
 */
export function parseMountInfo(text: string): MountInfo[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseLine);
}

function parseLine(line: string): MountInfo {
  const fields = line.split(" ");
  const separator = fields.indexOf("-", 6);
  const [id, parent, device, root, target, options] = fields;
  const [type, source, superOptions] = fields.slice(separator + 1);
  if (separator === -1 || options === undefined || root === undefined || target === undefined || type === undefined) {
    throw dataLoss(`"${line}" is not a line of mountinfo`);
  }
  return {
    id: Number(id),
    parent: Number(parent),
    device: device ?? "",
    root: decodeOctal(root),
    target: decodeOctal(target),
    options: splitOptions(options),
    propagation: fields.slice(6, separator),
    type: decodeOctal(type),
    source: decodeOctal(source ?? ""),
    superOptions: splitOptions(superOptions ?? ""),
  };
}

// A comma inside a value is escaped by a backslash of its own (overlay does that for paths), which the kernel then writes
// as \134; so options are split at bare commas only.
function splitOptions(text: string): string[] {
  return text === "" ? [] : decodeOctal(text).split(/(?<!\\),/);
}

/** Blank, tab, line feed, backslash and "#" stand as a backslash and three octal digits (seq_escape in the kernel). */
function decodeOctal(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
