import { type Check, fail, ok, warn } from "../finding.ts";

const openFiles: Check = ({ openFiles: { soft, hard } }) => {
  const most = hard >= 2n ** 63n ? "no limit" : `${hard}`;
  if (hard >= 65536n) return ok("open files", `${soft}, up to ${most}`);
  return warn(
    "open files",
    `${hard} at most: a node of 100 pods takes more`,
    "set LimitNOFILE=1048576 in hull's service, or raise nofile in limits.conf",
  );
};

/** Numbers of the kernel that a load of pods runs into. */
const numbers: readonly { name: string; key: string; least: number; why: string }[] = [
  {
    name: "inotify instances",
    key: "fs.inotify.max_user_instances",
    least: 512,
    why: 'programs in pods share them, and fail with "too many open files"',
  },
  {
    name: "inotify watches",
    key: "fs.inotify.max_user_watches",
    least: 65536,
    why: 'programs in pods share them, and fail with "no space left on device"',
  },
  { name: "processes", key: "kernel.pid_max", least: 65536, why: "all threads of all pods share them" },
  {
    name: "keys of root",
    key: "kernel.keys.root_maxkeys",
    least: 10000,
    why: "each container takes one for its session",
  },
  { name: "memory maps", key: "vm.max_map_count", least: 65530, why: "databases and search engines in pods want many" },
];

const kernelNumbers: Check = ({ read }) =>
  numbers.flatMap(({ name, key, least, why }) => {
    const value = read(`/proc/sys/${key.replaceAll(".", "/")}`)?.trim();
    if (value === undefined) return [];
    if (Number(value) >= least) return ok(name, value);
    return warn(name, `${value}: ${why}`, `sysctl -w ${key}=${least}, and write it to /etc/sysctl.d/`);
  });

const swap: Check = ({ read }) => {
  const areas = (read("/proc/swaps") ?? "").trim().split("\n").slice(1);
  if (areas.length === 0) return ok("swap", "none");
  const detail = `${areas.length === 1 ? "an area" : `${areas.length} areas`}: the kubelet doesn't start with swap unless it is told to`;
  return warn("swap", detail, "swapoff -a, or set failSwapOn: false for the kubelet");
};

const memory: Check = ({ read }) => {
  const kibibytes = Number(/^MemTotal:\s+(\d+)/m.exec(read("/proc/meminfo") ?? "")?.[1] ?? 0);
  const detail = `${(kibibytes / 2 ** 20).toFixed(1)} GiB`;
  if (kibibytes >= 2 ** 20) return ok("memory", detail);
  if (kibibytes === 0) return fail("memory", "can't be known: /proc isn't mounted", "mount -t proc proc /proc");
  return warn("memory", `${detail}: the kubelet and the pods of a cluster want 2 GiB`, "give the machine more");
};

export const limitChecks: readonly Check[] = [openFiles, kernelNumbers, memory, swap];
