/**
 * Where control groups are, for reading them often.
 *
 * A path is as in the `cgroupsPath` of a spec (`/kubepods/burstable/pod1/id`, or systemd's `kubepods-burstable.slice:cri-containerd:id`), or
 * as a kubelet names a pod's parent. systemd.slice(5): a slice's name holds the names of those that it lies in, divided by dashes.
 */

import { existsSync } from "node:fs";
import { basename, posix } from "node:path";
import { type Cgroup, cgroupAt, cgroupOf } from "@hull/sys/cgroup";
import { isErrno } from "@hull/sys/errno";
import { type Directory, directoryName } from "@hull/sys/small-file";

/** Directories of one group, as `SmallFiles` takes them; a controller that isn't mounted is missing. Version 2 has one for all. */
export interface Group {
  readonly version: 1 | 2;
  /** The same as paths. */
  readonly cgroup: Cgroup;
  readonly cpu?: Directory;
  readonly cpuacct?: Directory;
  readonly memory?: Directory;
  readonly pids?: Directory;
}

/** The path in the tree; undefined for what is no path of a group. */
export function groupPath(path: string): string | undefined {
  if (path === "" || path.includes("\0") || path.split("/").includes("..")) return undefined;
  const [slice = "", prefix, name, ...more] = path.split(":");
  if (name !== undefined && more.length === 0 && !path.includes("/")) {
    const scope = name.endsWith(".slice") ? name : `${prefix === "" ? "" : `${prefix}-`}${name}.scope`;
    return posix.join(slicePath(slice === "" ? "system.slice" : slice), scope);
  }
  if (basename(path).endsWith(".slice")) return slicePath(basename(path));
  return posix.join("/", path);
}

/** Where systemd has a slice: `a-b.slice` is `/a.slice/a-b.slice`. */
function slicePath(slice: string): string {
  if (slice === "-.slice") return "/";
  const parts = slice.slice(0, -".slice".length).split("-");
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}

/** Finds groups, and remembers where the trees are. */
export class Groups {
  #root: Cgroup | undefined;
  readonly #rootOf: () => Cgroup;

  /** @param rootOf where the topmost group is */
  constructor(rootOf = () => cgroupAt("/")) {
    this.#rootOf = rootOf;
  }

  /** The directories for a path; undefined for what is no path of a group. They need not exist. */
  at(path: string): Group | undefined {
    const place = groupPath(path);
    if (place === undefined) return undefined;
    this.#root ??= this.#rootOf();
    const { controllers, unified } = this.#root;
    const below = (directory: string): string => posix.join(directory, place);
    const paths = Object.fromEntries(Object.entries(controllers).map(([name, root]) => [name, below(root)]));
    return groupOf({ controllers: paths, unified: unified === undefined ? undefined : below(unified) });
  }

  /**
   * The directories of a container's group. A path that isn't absolute means one thing to systemd and another to a runtime that doesn't ask it:
   * what isn't where systemd would have it is where the container's first process is.
   */
  ofContainer(path: string, pid: number): Group | undefined {
    const named = this.at(path);
    const directory = named?.pids ?? named?.memory;
    if (path.startsWith("/") || pid === 0 || (directory !== undefined && existsSync(Buffer.from(directory))))
      return named;
    try {
      return groupOf(cgroupOf(pid));
    } catch (error) {
      if (isErrno(error, "ENOENT", "ESRCH")) return undefined;
      throw error;
    }
  }
}

function groupOf({ controllers, unified }: Cgroup): Group | undefined {
  // A hybrid host's tree of version 2 has hardly a controller: who reads it alone finds nothing.
  if (Object.keys(controllers).every((name) => name.startsWith("name="))) {
    if (unified === undefined) return undefined;
    const all = directoryName(unified);
    return { version: 2, cgroup: { controllers: {}, unified }, cpu: all, cpuacct: all, memory: all, pids: all };
  }
  const of = (controller: string): Directory | undefined => {
    const directory = controllers[controller];
    return directory === undefined ? undefined : directoryName(directory);
  };
  return {
    version: 1,
    cgroup: { controllers },
    cpu: of("cpu"),
    cpuacct: of("cpuacct"),
    memory: of("memory"),
    pids: of("pids"),
  };
}
