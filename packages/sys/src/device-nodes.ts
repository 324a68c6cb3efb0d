/** Device nodes of the host, as containers are given them. */

import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { invalidArgument } from "@hull/errors";
import { isErrno } from "./errno.ts";
import { splitDevice } from "./files.ts";

/** A node: its number, and who may use it. `fileMode` has permission bits only. */
export interface DeviceNode {
  path: string;
  type: "c" | "b" | "p";
  major: number;
  minor: number;
  fileMode: number;
  uid: number;
  gid: number;
}

// Directories of a kind that is made for each container, or that belong to the program which runs this host as a container.
const skippedDirectories = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"]);

/** The devices below a directory, as a privileged container gets those of /dev: all but consoles, FIFOs and what is made per container. */
export function deviceNodes(directory = "/dev"): DeviceNode[] {
  const devices: DeviceNode[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (!skippedDirectories.has(entry.name)) devices.push(...deviceNodes(path));
    } else if (entry.name !== "console") {
      const device = deviceAt(path);
      if (device !== undefined && device.type !== "p") devices.push(device);
    }
  }
  return devices;
}

/** A device node, or all below a directory. @throws InvalidArgument if it is neither */
export function deviceNodesAt(path: string): DeviceNode[] {
  if (lstatSync(path).isDirectory()) return deviceNodes(path);
  const device = deviceAt(path);
  if (device === undefined) throw invalidArgument(`"${path}" is not a device node`);
  return [device];
}

function deviceAt(path: string): DeviceNode | undefined {
  let stat: ReturnType<typeof lstatSync>;
  try {
    stat = lstatSync(path);
  } catch (error) {
    // A node that was removed since its directory was read.
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  const type = stat.isCharacterDevice() ? "c" : stat.isBlockDevice() ? "b" : stat.isFIFO() ? "p" : undefined;
  if (type === undefined) return undefined;
  const { major, minor } = splitDevice(BigInt(stat.rdev));
  return { path, type, major, minor, fileMode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}
