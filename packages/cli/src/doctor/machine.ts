import { existsSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { release } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type CgroupMode, cgroupMode } from "@hull/sys/cgroup";
import { ownCapabilities } from "@hull/sys/credentials";
import { close } from "@hull/sys/fd";
import { type MountInfo, mountInfo } from "@hull/sys/mount-info";
import { fileSystemType, overlaySupport } from "@hull/sys/mount-support";
import { openProcess, type ResourceLimit, resourceLimit } from "@hull/sys/process";

/** What a program that was run gave. */
export interface Outcome {
  readonly status: number;
  /** What it printed, to both of its outputs. */
  readonly output: string;
}

/** Room on a file system, in bytes. A file system without a fixed number of inodes says 0 of them. */
export interface Space {
  readonly type: string;
  readonly size: number;
  readonly free: number;
  readonly inodes: number;
  readonly inodesFree: number;
}

/** The host, as checks ask for it. */
export interface Machine {
  readonly kernel: string;
  readonly isRoot: boolean;
  /** `CAP_…` */
  readonly capabilities: readonly string[];
  readonly cgroups: CgroupMode;
  readonly openFiles: ResourceLimit;
  mounts(): readonly MountInfo[];
  /** The text of a file; undefined if it can't be read. */
  read(path: string): string | undefined;
  exists(path: string): boolean;
  /** Names in a directory; none if it can't be read. */
  list(path: string): string[];
  /** Where a program is in $PATH. */
  find(program: string): string | undefined;
  /** Runs a program for a few seconds at most. */
  run(argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<Outcome>;
  /** Of the file system that a path is on, or would be on. */
  space(path: string): Space;
  /** Why an overlay can't be used in a directory, or in the one that it would be made in. Tries it and leaves nothing. */
  overlayProblem(path: string): string | undefined;
  /** Whether processes can be held by a descriptor (pidfd_open(2)). */
  hasPidfd(): boolean;
  /** Whether the kernel has a part: `y` built in, `m` as a module, `n` not; undefined where nothing tells its configuration. */
  kernelOption(name: string): "y" | "m" | "n" | undefined;
}

/** ms that a program may take to say its version. */
const patience = 5000;

/** The host that this runs on. */
export function thisMachine(): Machine {
  let config: string | undefined;
  return {
    kernel: release(),
    isRoot: process.getuid?.() === 0,
    capabilities: ownCapabilities(),
    cgroups: cgroupMode(),
    openFiles: resourceLimit(0, "RLIMIT_NOFILE"),
    mounts: () => mountInfo(),
    read: readable,
    exists: existsSync,
    list: (path) => {
      try {
        return readdirSync(path);
      } catch {
        return [];
      }
    },
    find: (program) => Bun.which(program) ?? undefined,
    run: runProgram,
    space: (path) => {
      const there = nearest(path);
      const { blocks, bsize, bavail, files, ffree } = statfsSync(there);
      return {
        type: fileSystemType(there),
        size: blocks * bsize,
        free: bavail * bsize,
        inodes: files,
        inodesFree: ffree,
      };
    },
    overlayProblem: (path) => overlaySupport(nearest(path)).problem,
    hasPidfd: () => {
      try {
        close(openProcess(process.pid));
        return true;
      } catch {
        return false;
      }
    },
    kernelOption: (name) => {
      config ??= kernelConfig();
      if (config === "") return undefined;
      const value = new RegExp(`^${name}=([ym])$`, "m").exec(config)?.[1];
      return value === "y" || value === "m" ? value : "n";
    },
  };
}

function readable(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** The directory, or the nearest one above it that is there. */
function nearest(path: string): string {
  return existsSync(path) ? path : nearest(dirname(path));
}

/** What the kernel was made with, wherever it says so; empty if nowhere. */
function kernelConfig(): string {
  try {
    return gunzipSync(readFileSync("/proc/config.gz")).toString();
  } catch {
    const version = release();
    const files = [`/boot/config-${version}`, join("/lib/modules", version, "config")];
    return files.map(readable).find((text) => text !== undefined) ?? "";
  }
}

async function runProgram(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const child = Bun.spawn([...argv], {
    stdin: new Blob(["{}"]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...env },
    timeout: patience,
    killSignal: "SIGKILL",
  });
  const [out, err, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { status, output: out + err };
}
