import { type Check, fail, ok, warn } from "../finding.ts";
import type { Machine } from "../machine.ts";

/** Controllers, and what isn't there without them. Those of the first three are asked of every pod. */
const controllers: Readonly<Record<string, string>> = {
  cpu: "limits and weights of processor time",
  memory: "limits of memory",
  pids: "limits of processes",
  cpuset: "processors of a pod's own",
  io: "limits of disks",
  hugetlb: "limits of huge pages",
};
const needed: readonly string[] = ["cpu", "memory", "pids"];
const mountPoint = "/sys/fs/cgroup";

const version: Check = ({ cgroups }) => {
  const mend = "boot with systemd.unified_cgroup_hierarchy=1, or mount version 2 alone at /sys/fs/cgroup";
  switch (cgroups) {
    case "v2":
      return ok("version", "2");
    case "v1":
      return warn("version", "1: no pressure, no memory QoS, and the kubelet is leaving it behind", mend);
    case "hybrid":
      return warn(
        "version",
        "1 with an empty version 2 beside it: no pressure, no memory QoS, and crun doesn't start",
        mend,
      );
    case "none":
      return fail(
        "version",
        `none mounted at ${mountPoint}: pods can't be limited, and the kubelet doesn't start`,
        `mount -t cgroup2 none ${mountPoint}`,
      );
  }
};

const controllersThere: Check = (machine) => {
  if (machine.cgroups === "none") return [];
  const there = controllersOf(machine);
  const missing = Object.keys(controllers).filter((name) => !there.includes(name));
  if (missing.length === 0) return ok("controllers", there.join(", "));
  const detail = `without ${missing.map((name) => `${name} (${controllers[name]})`).join(", ")}`;
  const isNeeded = missing.some((name) => needed.includes(name));
  const mend =
    "boot without cgroup_disable=, on a kernel that has them; in a virtual machine or container ask for them outside";
  return isNeeded ? fail("controllers", detail, mend) : warn("controllers", detail, mend);
};

function controllersOf({ cgroups, read, list, mounts }: Machine): string[] {
  if (cgroups === "v2") return (read(`${mountPoint}/cgroup.controllers`) ?? "").trim().split(/\s+/).filter(Boolean);
  const options = mounts()
    .filter(({ type }) => type === "cgroup")
    .flatMap(({ superOptions }) => superOptions);
  const beside = (read(`${mountPoint}/unified/cgroup.controllers`) ?? "").trim().split(/\s+/).filter(Boolean);
  const found = new Set([...options, ...list(mountPoint), ...beside]);
  // Version 1 calls it by another name.
  if (found.has("blkio")) found.add("io");
  return Object.keys(controllers).filter((name) => found.has(name));
}

const swap: Check = ({ cgroups, exists }) => {
  if (cgroups === "none" || cgroups === "v2") return [];
  if (exists(`${mountPoint}/memory/memory.memsw.limit_in_bytes`)) return ok("swap accounting", "on");
  return warn("swap accounting", "off: limits of swap have no effect", "boot with swapaccount=1");
};

const pressure: Check = ({ exists }) =>
  exists("/proc/pressure/cpu")
    ? ok("pressure", "told")
    : warn(
        "pressure",
        "not told (PSI): statistics have no times of waiting",
        "boot with psi=1, on a kernel with CONFIG_PSI",
      );

const driver: Check = ({ exists }, { cri }) => {
  const hasSystemd = exists("/run/systemd/system");
  const { runtimes, default_runtime_name: name } = cri.runtime.containerd;
  const asked = runtimes[name]?.options.SystemdCgroup;
  if (asked === true && !hasSystemd) {
    const mend = `set SystemdCgroup = false for the runtime "${name}", and cgroupDriver: cgroupfs for the kubelet`;
    return fail("driver", "systemd is asked for, and it doesn't run here", mend);
  }
  if (asked === true) return ok("driver", "systemd");
  if (!hasSystemd) return ok("driver", "cgroupfs, as systemd doesn't run here");
  const detail =
    "cgroupfs, beside a systemd that believes all groups to be its own: two managers of one tree get in each other's way";
  const mend = `set SystemdCgroup = true in plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${name}.options, and the same for the kubelet`;
  return warn("driver", detail, mend);
};

export const cgroupChecks: readonly Check[] = [version, controllersThere, swap, pressure, driver];
