import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { invalidArgument } from "@hull/errors";
import { type Device, resolveUser, type SpecUser } from "@hull/oci/spec";
import { capabilities } from "@hull/sys/credentials";
import { isErrno } from "@hull/sys/errno";
import { close, Descriptor, open, openFlags } from "@hull/sys/fd";
import { splitDevice } from "@hull/sys/files";
import { type Mount, mountAll, unmountAll } from "@hull/sys/mount";
import { openInside } from "@hull/sys/resolve";

/** By number: include/uapi/linux/capability.h. */
const capabilityNames: readonly string[] = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST " +
  "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE " +
  "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM " +
  "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

/** Names of the capabilities that this process has: no container can be given more. */
export function ownCapabilities(): string[] {
  const { effective } = capabilities();
  return capabilityNames.filter((_, number) => (effective >> BigInt(number)) & 1n);
}

const skippedDirectories = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"]);

/** The host's device nodes, as a privileged container gets them: all below /dev but consoles and what is made per container. */
export function hostDevices(directory = "/dev"): Device[] {
  const devices: Device[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (!skippedDirectories.has(entry.name)) devices.push(...hostDevices(path));
    } else if (entry.name !== "console") {
      const device = deviceAt(path);
      if (device !== undefined) devices.push(device);
    }
  }
  return devices;
}

/** A device node, or all below a directory. @throws InvalidArgument if there is none */
export function devicesAt(path: string): Device[] {
  const found = lstatSync(path).isDirectory() ? hostDevices(path) : [deviceAt(path)];
  return found.map((device) => {
    if (device === undefined) throw invalidArgument(`"${path}" is not a device node`);
    return device;
  });
}

function deviceAt(path: string): Device | undefined {
  let stat: ReturnType<typeof lstatSync>;
  try {
    stat = lstatSync(path);
  } catch (error) {
    // A node that was removed since its directory was read.
    if (isErrno(error, "ENOENT") || (error instanceof Error && "code" in error && error.code === "ENOENT")) return;
    throw error;
  }
  const type = stat.isCharacterDevice() ? "c" : stat.isBlockDevice() ? "b" : stat.isFIFO() ? "p" : undefined;
  if (type === undefined) return undefined;
  const { major, minor } = splitDevice(BigInt(stat.rdev));
  return { path, type, major, minor, fileMode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}

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
  return paths.map((path) => readInside(root.fd, path));
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

function readInside(root: number, path: string): string | undefined {
  let file: number;
  try {
    // Non-blocking: an image may have put a FIFO there.
    file = openInside(root, path, openFlags.readOnly | openFlags.nonBlocking);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES")) return undefined;
    throw error;
  }
  try {
    return readFileSync(file, "utf8");
  } finally {
    close(file);
  }
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
