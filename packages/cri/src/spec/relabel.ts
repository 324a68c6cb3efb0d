import { lstat, opendir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { setAttribute } from "@hull/sys/files";

/** Where a label for a container would lock the host out of its own files. */
const kept = new Set([
  "/",
  "/bin",
  "/boot",
  "/dev",
  "/etc",
  "/home",
  "/lib",
  "/lib64",
  "/media",
  "/opt",
  "/proc",
  "/root",
  "/run",
  "/sbin",
  "/srv",
  "/sys",
  "/tmp",
  "/usr",
  "/var",
  "/var/lib",
  "/var/log",
]);

/** Gives a file, and all below a directory, an SELinux label; where the file system has none, nothing. @throws Unknown for directories of the host's own */
export async function relabelTree(path: string, label: string): Promise<void> {
  if (kept.has(resolve(path))) throw unknown(`SELinux relabeling of ${path} is not allowed`);
  const value = new TextEncoder().encode(`${label}\0`);
  const pending = [path];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    try {
      setAttribute(next, "security.selinux", value);
      if (!(await lstat(next)).isDirectory()) continue;
      for await (const entry of await opendir(next)) pending.push(join(next, entry.name));
    } catch (error) {
      if (isErrno(error, "EOPNOTSUPP")) return;
      // Removed meanwhile.
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}
