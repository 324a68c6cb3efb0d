/**
 * Bundles: the directory of each task, by which its shim finds what it needs, and the next daemon the shim.
 *
 *   <state>/io.containerd.runtime.v2.task/<namespace>/<id>/
 *     config.json       the container's OCI spec
 *     rootfs/           where the shim mounts
 *     work              link to <root>/io.containerd.runtime.v2.task/<namespace>/<id>
 *     log               FIFO: what the shim logs
 *     bootstrap.json    the shim's address, protocol and version
 *     shim-binary-path  the shim's program; none for our own
 *     sandbox           id of the sandbox whose shim keeps the task
 *     company           which other groups may have their tasks in the shim too (hull's own)
 *
 * The layout is containerd's. A name that starts with a dot is a bundle that is being deleted.
 */

import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isErrno } from "@hull/sys/errno";
import { makeFifo } from "@hull/sys/files";
import { unmountAll } from "@hull/sys/mount";

/** Whose bundles: the directory's name below root and state. */
const tasks = "io.containerd.runtime.v2.task";

/** The daemon's directories. */
export interface RuntimeDirectories {
  /** survives reboots */
  readonly root: string;
  /** doesn't */
  readonly state: string;
}

/** How to reach a shim. */
export interface Bootstrap {
  version: number;
  /** e.g. `unix:///run/…` */
  address: string;
  protocol: string;
}

/** The directory of all bundles, of tasks unless told. */
export const bundlesDirectory = ({ state }: RuntimeDirectories, owner = tasks): string => join(state, owner);

/** The directory of all work directories. */
export const workDirectory = ({ root }: RuntimeDirectories, owner = tasks): string => join(root, owner);

/** One task's bundle; or a sandbox's, in the directory of its controller. */
export class Bundle {
  readonly namespace: string;
  readonly id: string;
  readonly path: string;
  readonly work: string;

  constructor(directories: RuntimeDirectories, namespace: string, id: string, owner = tasks) {
    this.namespace = namespace;
    this.id = id;
    this.path = join(bundlesDirectory(directories, owner), namespace, id);
    this.work = join(workDirectory(directories, owner), namespace, id);
  }

  /** Makes the directory and what the shim finds in it. @throws the system's EEXIST if there is such a bundle */
  create(spec: Uint8Array): void {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o711 });
    mkdirSync(this.path, { mode: 0o700 });
    const group = remappedGroup(spec);
    if (group !== 0) {
      // Root of a user namespace comes to the rootfs as this group.
      chownSync(this.path, -1, group);
      chmodSync(this.path, 0o710);
    }
    mkdirSync(join(this.path, "rootfs"), { mode: 0o711 });
    mkdirSync(this.work, { recursive: true, mode: 0o711 });
    symlinkSync(this.work, join(this.path, "work"));
    writeFileSync(join(this.path, "config.json"), spec);
  }

  /** Makes the FIFO of the shim's log. @returns its path */
  createLog(): string {
    const path = join(this.path, "log");
    makeFifo(path, 0o700);
    return path;
  }

  /** Records the shim, so that the next daemon finds it. @param program undefined for our own */
  record(bootstrap: Bootstrap, program: string | undefined): void {
    writeFileSync(join(this.path, "bootstrap.json"), JSON.stringify(bootstrap));
    if (program !== undefined) writeFileSync(join(this.path, "shim-binary-path"), program);
  }

  /** Records in whose sandbox the task is. */
  recordSandbox(id: string): void {
    writeFileSync(join(this.path, "sandbox"), id);
  }

  /** Records with which groups the task's own may share its shim. */
  recordCompany(company: string): void {
    writeFileSync(join(this.path, "company"), company);
  }

  /** The company that was recorded. */
  company(): string | undefined {
    return this.#read("company");
  }

  /** The spec that the container was made of; empty if it can't be read. */
  spec(): Uint8Array {
    try {
      return readFileSync(join(this.path, "config.json"));
    } catch {
      return new Uint8Array();
    }
  }

  /** What was recorded; also reads the older form, a file with the address alone. Undefined if there is nothing. */
  recorded(): { bootstrap: Bootstrap | undefined; program: string | undefined } {
    const text = this.#read("bootstrap.json");
    const address = this.#read("address");
    const older = address === undefined ? undefined : { version: 2, address, protocol: "ttrpc" };
    return { bootstrap: (text && parseBootstrap(text)) || older, program: this.#read("shim-binary-path") };
  }

  /** Where the shim mounts the root file system. */
  get rootfs(): string {
    return join(this.path, "rootfs");
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.path, name), "utf8").trim();
    } catch {
      return undefined;
    }
  }

  /** Removes everything: from sight before it returns, from disk before it resolves. Takes down what is still mounted. */
  async delete(): Promise<void> {
    if (!existsSync(this.path) && !existsSync(this.work)) return;
    unmountAll(this.rootfs);
    const hidden = join(dirname(this.path), `.${this.id}`);
    try {
      rmSync(hidden, { recursive: true, force: true });
      renameSync(this.path, hidden);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
    await rm(hidden, { recursive: true, force: true });
    await rm(this.work, { recursive: true, force: true });
  }
}

/**
 * Reads what a shim prints when started: JSON with version, address and protocol, or the plain address, which means version 2.
 *
 * @returns undefined for an empty text
 */
export function parseBootstrap(text: string): Bootstrap | undefined {
  const plain = text.trim();
  if (plain === "") return undefined;
  try {
    const value: unknown = JSON.parse(plain);
    if (isBootstrap(value) && value.version >= 2) return value;
  } catch {
    // Not JSON: the address itself.
  }
  return { version: 2, address: plain, protocol: "ttrpc" };
}

function isBootstrap(value: unknown): value is Bootstrap {
  return (
    typeof value === "object" &&
    value !== null &&
    "version" in value &&
    typeof value.version === "number" &&
    "address" in value &&
    typeof value.address === "string" &&
    "protocol" in value &&
    typeof value.protocol === "string"
  );
}

/** The host's id of group 0 in a container with a user namespace; 0 for any other. */
function remappedGroup(spec: Uint8Array): number {
  const text = new TextDecoder().decode(spec);
  // Most containers have none: don't parse for them.
  if (!text.includes('"gidMappings"')) return 0;
  const { linux } = JSON.parse(text) as { linux?: { gidMappings?: { containerID?: number; hostID?: number }[] } };
  return linux?.gidMappings?.find(({ containerID = 0 }) => containerID === 0)?.hostID ?? 0;
}
