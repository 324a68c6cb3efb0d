import { type Check, type Finding, fail, ok, warn } from "../finding.ts";
import type { Machine } from "../machine.ts";
import { isOlder } from "../versions.ts";

/** openat2(2), by which paths of images are resolved inside their root. */
const oldest = "5.6";
/** Mappings of mounts' owners on every common file system (mount_setattr(2)), for user namespaces of pods. */
const forUsers = "6.3";

const version: Check = ({ kernel }) => {
  if (isOlder(kernel, oldest))
    return fail("version", `${kernel}: system calls of ${oldest} are missing`, `run a kernel of ${oldest} or newer`);
  if (!isOlder(kernel, forUsers)) return ok("version", kernel);
  const detail = `${kernel}: pods with user namespaces (hostUsers: false) want ${forUsers}`;
  return warn("version", detail, `run a kernel of ${forUsers} or newer`);
};

const namespaces: Check = ({ exists }) => {
  const missing = ["cgroup", "ipc", "mnt", "net", "pid", "uts"].filter((name) => !exists(`/proc/self/ns/${name}`));
  if (missing.length === 0) return ok("namespaces", "cgroup, ipc, mnt, net, pid, uts");
  return fail(
    "namespaces",
    `none of kind ${missing.join(", ")}`,
    "run a kernel with CONFIG_NAMESPACES and all kinds of them",
  );
};

const userNamespaces: Check = ({ exists, read }) => {
  const most = Number(read("/proc/sys/user/max_user_namespaces") ?? 0);
  if (exists("/proc/self/ns/user") && most > 0) return ok("user namespaces", `up to ${most}`);
  const detail = "none: pods with hostUsers: false don't start";
  return warn("user namespaces", detail, "sysctl -w user.max_user_namespaces=65536, on a kernel with CONFIG_USER_NS");
};

const seccomp: Check = ({ read }) => {
  if (/^Seccomp:/m.test(read("/proc/self/status") ?? "")) return ok("seccomp", "filters");
  const detail = "none: containers may make every system call";
  return warn("seccomp", detail, "run a kernel with CONFIG_SECCOMP_FILTER");
};

const pidfd: Check = (machine) =>
  machine.hasPidfd()
    ? ok("pidfd", "processes are held by descriptors")
    : fail(
        "pidfd",
        "pidfd_open(2) is refused: hull waits for processes by it",
        "allow it where a seccomp profile holds hull itself",
      );

/** What a kernel may be made without. */
interface Part {
  readonly name: string;
  readonly option: string;
  /** Empty for one that can't be a module. */
  readonly module: string;
  /** Is there when the part is. */
  readonly file?: string;
  readonly need: string;
  readonly isNeeded: boolean;
}

const parts: readonly Part[] = [
  { name: "veth", option: "CONFIG_VETH", module: "veth", need: "most networks of pods are made of", isNeeded: true },
  {
    name: "bridge",
    option: "CONFIG_BRIDGE",
    module: "bridge",
    file: "/proc/sys/net/bridge",
    need: "the bridge plugin needs",
    isNeeded: false,
  },
  {
    name: "nftables",
    option: "CONFIG_NF_TABLES",
    module: "nf_tables",
    need: "host ports and services are made with",
    isNeeded: false,
  },
  { name: "NAT", option: "CONFIG_NF_NAT", module: "nf_nat", need: "pods reach other networks by", isNeeded: false },
  {
    name: "BPF for control groups",
    option: "CONFIG_CGROUP_BPF",
    module: "",
    need: "version 2 of them limits devices by",
    isNeeded: false,
  },
  {
    name: "FUSE",
    option: "CONFIG_FUSE_FS",
    module: "fuse",
    file: "/dev/fuse",
    need: "snapshotters such as stargz mount by",
    isNeeded: false,
  },
];

const kernelParts: Check = (machine) => parts.map((part) => partFinding(machine, part));

function partFinding(machine: Machine, { name, option, module, file, need, isNeeded }: Part): Finding {
  const state = stateOf(machine, option, module, file);
  switch (state) {
    case "there":
      return ok(name, state);
    case "loadable":
      return ok(name, "as a module, which is loaded when it is first used");
    case "unknown": {
      const detail = `can't be known, as the kernel doesn't tell its configuration; ${need} it`;
      return warn(name, detail, module === "" ? `see to it that the kernel has ${option}` : `modprobe ${module}`);
    }
    case "missing":
      return (isNeeded ? fail : warn)(name, `not there; ${need} it`, `run a kernel with ${option}`);
  }
}

function stateOf(
  machine: Machine,
  option: string,
  module: string,
  file: string | undefined,
): "there" | "loadable" | "missing" | "unknown" {
  const { kernel, exists, read } = machine;
  if (module !== "" && exists(`/sys/module/${module}`)) return "there";
  if (file !== undefined && exists(file)) return "there";
  const inModules = (list: string): boolean =>
    module !== "" && (read(`/lib/modules/${kernel}/${list}`) ?? "").includes(`/${module}.ko`);
  if (inModules("modules.builtin")) return "there";
  if (inModules("modules.dep")) return "loadable";
  switch (machine.kernelOption(option)) {
    case "y":
      return "there";
    case "m":
    case "n":
      return "missing";
    case undefined:
      return "unknown";
  }
}

export const kernelChecks: readonly Check[] = [version, namespaces, userNamespaces, seccomp, pidfd, kernelParts];
