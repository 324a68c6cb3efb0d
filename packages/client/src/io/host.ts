import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveUser, type SpecUser } from "@hull/oci/spec";
import { Descriptor, open, openFlags } from "@hull/sys/fd";
import { type Mount, mountAll, unmountAll } from "@hull/sys/mount";
import { readTextInside } from "@hull/sys/resolve";

/** Who `user` ("name|uid[:name|gid]", "" for root) is in a root file system given by its mounts. @throws InvalidArgument, NotFound */
export function userInRoot(mounts: readonly Mount[], user: string): SpecUser {
  const [passwd, group] = readInRoot(mounts, ["/etc/passwd", "/etc/group"]);
  return resolveUser(user, { passwd: passwd ?? "", group: group ?? "" });
}

/**
 * Texts of files in a root file system that is given by its mounts. It is mounted read-only for the moment; links are followed inside it
 * alone. A file that isn't there is undefined.
 */
export function readInRoot(mounts: readonly Mount[], paths: readonly string[]): (string | undefined)[] {
  using root = openRootFiles(mounts);
  return paths.map((path) => readTextInside(root.fd, path));
}

/** A root file system that is given by its mounts, mounted read-only until it is disposed of: a descriptor of it to open files in. */
export function openRootFiles(mounts: readonly Mount[]): Disposable & { readonly fd: number } {
  using undo = new DisposableStack();
  const target = mkdtempSync(join(tmpdir(), "hull-root-"));
  undo.defer(() => rmdirSync(target));
  undo.defer(() => unmountAll(target));
  mountAll(mounts.flatMap(withoutManager).map(readOnly), target);
  const { fd } = undo.use(new Descriptor(open(target, openFlags.path | openFlags.directory)));
  const kept = undo.move();
  return { fd, [Symbol.dispose]: () => kept.dispose() };
}

/** What can be seen of mounts that the mount manager is to do without it: all but what has been changed. */
function withoutManager(mount: Mount): Mount[] {
  if (!/^(mkfs|format)\//.test(mount.type)) return [mount];
  const lower = (mount.options ?? []).find((option) => option.startsWith("lowerdir="));
  if (lower === undefined || lower.includes("{{")) return [];
  if (lower.includes(":")) return [{ ...mount, type: "overlay", options: [lower] }];
  return [{ ...mount, type: "bind", source: lower.slice("lowerdir=".length), options: ["rbind"] }];
}

/** The same without a writer: a second one on an overlay's upper directory is undefined behaviour. */
function readOnly(mount: Mount): Mount {
  const options = (mount.options ?? []).filter((option) => option !== "rw" && option !== "ro");
  if (mount.type !== "overlay") return { ...mount, options: [...options, "ro"] };
  const optionValue = (key: string): string | undefined =>
    options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1);
  const upper = optionValue("upperdir");
  const lower = optionValue("lowerdir");
  if (upper === undefined || lower === undefined) return { ...mount, options: [...options, "ro"] };
  const others = options.filter((option) => !/^(upperdir|lowerdir|workdir)=/.test(option) && option !== "volatile");
  return { ...mount, options: [`lowerdir=${upper}:${lower}`, ...others, "ro"] };
}
