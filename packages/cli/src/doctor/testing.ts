/** Hosts for the tests of checks. */

import { imagesTable, runtimeTable } from "@hull/cri/config";
import { parseMountInfo } from "@hull/sys/mount-info";
import type { Machine, Outcome, Space } from "./machine.ts";
import type { Setup } from "./setup.ts";

export interface FakeOptions extends Partial<Omit<Machine, "read" | "exists" | "list" | "run" | "find" | "space">> {
  /** Texts by path; undefined takes one of the good host away. A path that ends with a slash stands for a directory. */
  readonly files?: Readonly<Record<string, string | undefined>>;
  /** What programs print, by their command lines. */
  readonly programs?: Readonly<Record<string, Outcome | string | undefined>>;
  readonly space?: Partial<Space>;
}

const GiB = 2 ** 30;

const features = {
  mountOptions: ["ro", "rro"],
  linux: { seccomp: { enabled: true }, namespaces: ["mount", "user"] },
};

const conflist = {
  cniVersion: "1.0.0",
  name: "pods",
  plugins: [{ type: "bridge", ipam: { type: "host-local" } }, { type: "portmap" }],
};

/** A host on which nothing is amiss, with the files of `directory` for its networks. */
const goodFiles: Readonly<Record<string, string>> = {
  "/proc/self/oom_score_adj": "0\n",
  "/proc/self/status": "Name:\thull\nSeccomp:\t0\n",
  "/proc/self/ns/cgroup": "",
  "/proc/self/ns/ipc": "",
  "/proc/self/ns/mnt": "",
  "/proc/self/ns/net": "",
  "/proc/self/ns/pid": "",
  "/proc/self/ns/user": "",
  "/proc/self/ns/uts": "",
  "/proc/sys/user/max_user_namespaces": "65536\n",
  "/proc/sys/net/ipv4/ip_forward": "1\n",
  "/proc/sys/net/ipv6/conf/all/forwarding": "1\n",
  "/proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
  "/proc/sys/fs/inotify/max_user_instances": "8192\n",
  "/proc/sys/fs/inotify/max_user_watches": "524288\n",
  "/proc/sys/kernel/pid_max": "4194304\n",
  "/proc/meminfo": "MemTotal:       16384000 kB\n",
  "/proc/swaps": "Filename Type Size Used Priority\n",
  "/proc/pressure/cpu": "",
  "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
  "/etc/resolv.conf": "search example\nnameserver 192.0.2.53\n",
  "/usr/bin/crun": "",
  "/opt/cni/bin/bridge": "",
  "/opt/cni/bin/host-local": "",
  "/opt/cni/bin/portmap": "",
};

const versions = JSON.stringify({ cniVersion: "1.0.0", supportedVersions: ["0.4.0", "1.0.0"] });

const goodPrograms: Readonly<Record<string, Outcome | string>> = {
  "/usr/bin/crun --version": "crun version 1.20\ncommit: 1\n",
  "/usr/bin/crun features": JSON.stringify(features),
  "/usr/sbin/criu --version": "Version: 4.0\n",
  "/usr/sbin/criu check": "Looks good.\n",
  "/usr/sbin/nft": "",
  "/opt/cni/bin/bridge": versions,
  "/opt/cni/bin/host-local": versions,
  "/opt/cni/bin/portmap": versions,
};

/** The host, and what was told otherwise. */
export function fakeMachine({ files = {}, programs = {}, space = {}, ...rest }: FakeOptions = {}): Machine {
  const all = new Map(Object.entries({ ...goodFiles, ...files }).filter(([, text]) => text !== undefined));
  const commands = new Map(
    Object.entries({ ...goodPrograms, ...programs }).filter(([, answer]) => answer !== undefined),
  );
  return {
    kernel: "6.12.1",
    isRoot: true,
    capabilities: [
      ..."SYS_ADMIN NET_ADMIN CHOWN DAC_OVERRIDE FOWNER MKNOD SETUID SETGID SYS_CHROOT KILL SYS_RESOURCE".split(" "),
    ].map((name) => `CAP_${name}`),
    cgroups: "v2",
    openFiles: { soft: 1024n, hard: 524288n },
    mounts: () => parseMountInfo("1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"),
    read: (path) => all.get(path),
    exists: (path) => all.has(path) || [...all.keys()].some((file) => file.startsWith(`${path}/`)),
    list: (path) => [...all.keys()].flatMap((file) => (file.startsWith(`${path}/`) ? file.slice(path.length + 1) : [])),
    find: (program) =>
      [...commands.keys()].map((line) => line.split(" ")[0]).find((path) => path?.endsWith(`/${program}`)),
    run: async (argv) => {
      const answer = commands.get(argv.join(" ")) ?? { status: 127, output: "not found" };
      return typeof answer === "string" ? { status: 0, output: answer } : answer;
    },
    space: (path) => {
      const type = path.startsWith("/run") ? "tmpfs" : "ext4";
      return { type, size: 100 * GiB, free: 50 * GiB, inodes: 1000, inodesFree: 900, ...space };
    },
    overlayProblem: () => undefined,
    hasPidfd: () => true,
    kernelOption: () => "y",
    ...rest,
  };
}

/** What a configuration asks for, with the networks of a directory. */
export const setupOf = (
  confDir: string,
  { runtime = {}, images = {} }: { runtime?: Record<string, unknown>; images?: Record<string, unknown> } = {},
): Setup => ({
  root: "/var/lib/hull",
  state: "/run/hull",
  cri: {
    images: imagesTable.parse(images),
    runtime: runtimeTable.parse({ cni: { conf_dir: confDir }, ...runtime }),
  },
  ociRuntime: "",
});

/** A network that the good host has the plugins of. */
export const network = JSON.stringify(conflist);
