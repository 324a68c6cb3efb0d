import { failedPrecondition, invalidArgument } from "@hull/errors";
import type { Mount } from "../mount/index.ts";
import type { UnpackRequest } from "./unpacker/protocol.ts";

/** A directory to unpack into without mounting anything, and how. */
export type DirectTarget = Pick<UnpackRequest, "target" | "whiteouts" | "lower">;

/**
 * The directory that mounts show, where unpacking into it comes to the same as unpacking onto the mounts: the source of a bind
 * mount, or an overlay's upper directory. Undefined if they have to be mounted.
 *
 * @param rebase the directory is to become an overlay's layer: see `ApplyOptions`
 * @throws failedPrecondition if the mounts are read-only
 */
export function directTarget(mounts: readonly Mount[], rebase: boolean): DirectTarget | undefined {
  const [mount, ...others] = mounts;
  if (mount === undefined) throw invalidArgument("a layer can't be applied onto no mounts at all");
  if (mounts.every(({ options }) => options.includes("ro"))) {
    throw failedPrecondition(`a layer can't be applied onto "${mount.source}": the mount is read-only`);
  }
  if (others.length > 0 || mount.target !== "") return undefined;
  if (mount.options.some((option) => /^[ug]idmap=/.test(option))) return undefined;
  if (mount.options.includes("bind") || mount.options.includes("rbind")) {
    return { target: mount.source, whiteouts: rebase ? "overlay" : "plain", lower: [] };
  }
  if (mount.type === "overlay") return overlayTarget(mount);
  return undefined;
}

function overlayTarget(mount: Mount): DirectTarget | undefined {
  const { upper, lower, userAttributes, isPlain } = overlayParts(mount);
  if (!isPlain) return undefined;
  if (upper === undefined)
    throw failedPrecondition("a layer can't be applied onto an overlay without an upper directory");
  return { target: upper, whiteouts: userAttributes ? "overlay-user" : "overlay", lower };
}

/** What an overlay mount is made of. */
export interface OverlayParts {
  readonly upper: string | undefined;
  /** The topmost first. */
  readonly lower: readonly string[];
  /** Its marks are in attributes of the class "user". */
  readonly userAttributes: boolean;
  /** Its directories hold files, marks of deletions and of directories that hide others: nothing else. */
  readonly isPlain: boolean;
}

/** Reads the options of an overlay mount (kernel, Documentation/filesystems/overlayfs.rst). */
export function overlayParts({ options }: Mount): OverlayParts {
  let upper: string | undefined;
  let lower: string[] = [];
  let userAttributes = false;
  let isPlain = true;
  for (const option of options) {
    if (option.startsWith("upperdir=")) upper = unescaped(option.slice("upperdir=".length));
    else if (option.startsWith("lowerdir=")) lower = splitLower(option.slice("lowerdir=".length));
    else if (option.startsWith("lowerdir+=")) lower.push(option.slice("lowerdir+=".length));
    else if (option === "userxattr") userAttributes = true;
    // The upper directory holds more than files then: moved directories, files without their bytes.
    else if (option === "redirect_dir=on" || option === "metacopy=on") isPlain = false;
    if (option.startsWith("datadir+=") || (option.startsWith("lowerdir=") && option.includes("::"))) isPlain = false;
  }
  return { upper, lower, userAttributes, isPlain };
}

/** Directories are separated by ":"; a backslash takes a character for itself (kernel, overlayfs.rst, "Multiple lower layers"). */
function splitLower(list: string): string[] {
  return (list.match(/(?:\\.|[^:\\])+/g) ?? []).map(unescaped);
}

function unescaped(path: string): string {
  return path.replace(/\\(.)/g, "$1");
}
