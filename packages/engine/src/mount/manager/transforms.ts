/** What mounts may ask to have made before they are mounted, by the first part of their type. */

import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { invalidArgument, unavailable, unimplemented, unknown } from "@hull/errors";
import { startProgram, which } from "@hull/sys/program";
import { lastWords } from "../../last-words.ts";
import type { Mount } from "../index.ts";
import type { ActiveMount } from "./index.ts";

/** Makes of a mount the one that is mounted. `before` are the mounts done so far; files are made below `roots` alone. */
export type Transform = (mount: Mount, before: readonly ActiveMount[], roots: readonly string[]) => Promise<Mount>;

export const transforms: Readonly<Record<string, Transform>> = {
  format: async (mount, before) => ({
    ...mount,
    source: fill(mount.source, before),
    target: fill(mount.target, before),
    options: mount.options.map((option) => fill(option, before)),
  }),
  mkdir: async (mount, _, roots) => {
    const [own, others] = split(mount.options, "X-containerd.mkdir.");
    for (const option of own) makeDirectory(option, roots);
    return { ...mount, options: others };
  },
  mkfs: async (mount, _, roots) => {
    const [own, others] = split(mount.options, "X-containerd.mkfs.");
    await makeFileSystem(mount.source, own, roots);
    return { ...mount, options: others };
  },
};

function split(options: readonly string[], prefix: string): [own: string[], others: string[]] {
  return [
    options.filter((option) => option.startsWith(prefix)).map((option) => option.slice(prefix.length)),
    options.filter((option) => !option.startsWith(prefix)),
  ];
}

/** Fills in what containerd's templates may say of the mounts before. */
function fill(text: string, before: readonly ActiveMount[]): string {
  const filled = text.replace(
    /\{\{-?\s*(\w+)\s+(\d+)(?:\s+(\d+))?\s*-?\}\}/g,
    (whole, what: string, first: string, last?: string) => {
      if (what === "overlay" && last !== undefined) return range(Number(first), Number(last), before).join(":");
      const at = (index: number): ActiveMount => {
        const active = before[index];
        if (active !== undefined) return active;
        throw invalidArgument(`index out of bounds: ${index}, has ${before.length} active mounts`);
      };
      if (last === undefined) {
        if (what === "mount") return at(Number(first)).mountPoint;
        if (what === "source") return at(Number(first)).mount.source;
        if (what === "target") return at(Number(first)).mount.target;
      }
      throw invalidArgument(
        `"${whole}" is no mount: use source, target, mount or overlay, with numbers of mounts before`,
      );
    },
  );
  if (filled.includes("{{"))
    throw invalidArgument(`"${text}" can't be filled in: "${filled.slice(filled.indexOf("{{"))}"`);
  return filled;
}

function range(first: number, last: number, before: readonly ActiveMount[]): string[] {
  const numbers = Array.from(
    { length: Math.abs(last - first) + 1 },
    (_, index) => first + (first > last ? -index : index),
  );
  return numbers.map((number) => {
    const active = before[number];
    if (active === undefined)
      throw invalidArgument(`invalid range: ${first}-${last}, has ${before.length} active mounts`);
    return active.mountPoint;
  });
}

/** A path as it really is, if it lies in one of the roots, its directory too. @throws Unimplemented */
function inside(path: string, roots: readonly string[], what: string): string {
  const parent = dirname(path);
  // A file system that was mounted before may hold links that lead anywhere.
  const real = existsSync(parent) ? join(realpathSync(parent), basename(path)) : path;
  const isInside = roots.some((root) => real.startsWith(`${realpathSync(root)}/`));
  if (isInside && basename(path) !== "..") return real;
  throw unimplemented(`no root "${path}" configured for ${what}`);
}

const defaultMode = 0o700;

/** `path=<path>[:<mode>[:<uid>:<gid>]]`; one that exists stays as it is: whoever used it may have changed it. */
function makeDirectory(option: string, roots: readonly string[]): void {
  const match = /^path=([^:]+)(?::([0-7]{1,4})(?::(\d{1,10}):(\d{1,10}))?)?$/.exec(option);
  if (match === null) throw invalidArgument(`invalid mkdir option "X-containerd.mkdir.${option}"`);
  const [, path = "", octal, uid, gid] = match;
  const mode = octal === undefined ? defaultMode : Number.parseInt(octal, 8);
  if (mode > 0o777) throw invalidArgument(`invalid mode ${octal}`);
  const place = inside(path, roots, "mkdir");
  const existing = lstatSync(place, { throwIfNoEntry: false });
  if (existing !== undefined) {
    if (existing.isDirectory()) return;
    throw invalidArgument(`"${path}" is there already, and no directory`);
  }
  mkdirSync(place);
  // Not by mkdir, which the umask has a say in.
  chmodSync(place, mode);
  if (uid !== undefined && gid !== undefined) chownSync(place, Number(uid), Number(gid));
}

const programs: Readonly<Record<string, { readonly program: string; readonly uuid: (uuid: string) => string[] }>> = {
  ext2: { program: "mkfs.ext2", uuid: (uuid) => ["-U", uuid] },
  ext3: { program: "mkfs.ext3", uuid: (uuid) => ["-U", uuid] },
  ext4: { program: "mkfs.ext4", uuid: (uuid) => ["-U", uuid] },
  xfs: { program: "mkfs.xfs", uuid: (uuid) => ["-m", `uuid=${uuid}`] },
};

/** Makes a file with a file system of that size, unless it is there. */
async function makeFileSystem(file: string, options: readonly string[], roots: readonly string[]): Promise<void> {
  const place = inside(file, roots, "mkfs");
  const given: { size?: string; fs?: string; uuid?: string } = {};
  for (const option of options) {
    const [, key, value] = /^(size|fs|uuid)=(.+)$/.exec(option) ?? [];
    if (key !== "size" && key !== "fs" && key !== "uuid")
      throw invalidArgument(`unknown mount option "X-containerd.mkfs.${option}"`);
    given[key] = value;
  }
  const { fs = "ext4", uuid } = given;
  if (given.size === undefined) throw invalidArgument("mkfs requires mkfs.size option");
  const size = parseSize(given.size);
  const kind = programs[fs];
  if (kind === undefined) throw invalidArgument(`unsupported filesystem "${fs}"`);
  if (uuid !== undefined && !/^[0-9a-fA-F-]{32,36}$/.test(uuid)) throw invalidArgument(`"${uuid}" is no UUID`);
  if (existsSync(place)) return;
  const program = which(kind.program);
  if (program === null) throw unavailable(`a file system "${fs}" can't be made: there is no program "${kind.program}"`);
  const made = openSync(place, "wx", 0o640);
  try {
    ftruncateSync(made, size);
  } finally {
    closeSync(made);
  }
  const child = startProgram([program, "-q", ...(uuid === undefined ? [] : kind.uuid(uuid)), place], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { LC_ALL: "C" },
  });
  const [words, status] = await Promise.all([lastWords(child.stderr), child.exited]);
  if (status === 0) return;
  rmSync(place, { force: true });
  throw unknown(`failed format "${file}": ${kind.program} failed: ${words}`);
}

const units: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Bytes, with a unit of 1024 if there is one: `64m`, `1.5GiB`. @throws InvalidArgument */
export function parseSize(text: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?$/i.exec(text.trim()) ?? [];
  const size = number === undefined ? Number.NaN : Math.floor(Number(number) * (units[unit.toLowerCase()] ?? 1));
  if (!Number.isSafeInteger(size) || size === 0)
    throw invalidArgument(`"${text}" is no size: give bytes, or a number with k, m, g or t`);
  return size;
}
