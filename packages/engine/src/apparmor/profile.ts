/** What the surroundings of a profile are: which files of the policy's library there are, and who may signal its processes. */
export interface ProfileSurroundings {
  /** True if `/etc/apparmor.d` has this file: `tunables/global`. */
  readonly has: (file: string) => boolean;
  /** Profile of the daemon; `unconfined` as a rule. */
  readonly daemonProfile: string;
  /** Path of rootlesskit, if it is installed: its processes may signal the container's. */
  readonly rootlessKit?: string;
}

/**
 * The default AppArmor policy of a container in the parser's language. It means what containerd's default profile means: everything but
 * mounting, and writing to the parts of /proc and /sys that are the host's.
 *
 * @param name of letters, digits, ".", "_", "-": see `loadDefaultProfile`
 */
export function defaultProfile(name: string, { has, daemonProfile, rootlessKit }: ProfileSurroundings): string {
  const mayStop = ["unconfined", "runc", "crun", daemonProfile, ...(rootlessKit === undefined ? [] : [rootlessKit])];
  return [
    ...(has("abi/3.0") ? ["abi <abi/3.0>,"] : []),
    has("tunables/global") ? "#include <tunables/global>" : "@{PROC}=/proc/",
    `profile ${name} flags=(attach_disconnected,mediate_deleted) {`,
    ...(has("abstractions/base") ? ["  #include <abstractions/base>"] : []),
    ...allowed.map((rule) => `  ${rule},`),
    ...[...new Set(mayStop)].map((peer) => `  signal (receive) peer=${peer},`),
    `  signal (send,receive) peer=${name},`,
    `  ptrace (trace,tracedby,read,readby) peer=${name},`,
    ...denied.map((rule) => `  deny ${rule},`),
    "}",
    "",
  ].join("\n");
}

const allowed = ["network", "capability", "file", "umount"];

/** The language has no "but": a path is kept out by everything that differs from it in one letter. */
const denied = [
  "mount",
  // Files directly in /proc, and folders that are neither a process's nor sys.
  "@{PROC}/* w",
  "@{PROC}/{[^1-9/],[^1-9/][^0-9/],[^1-9s/][^0-9y/][^0-9s/],[^1-9/][^0-9/][^0-9/][^0-9/]*}/** w",
  // Of /proc/sys only kernel/shm*, which a container's IPC namespace has to itself.
  "@{PROC}/sys/[^k]** w",
  "@{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w",
  "@{PROC}/sysrq-trigger rwklx",
  "@{PROC}/kcore rwklx",
  // Of /sys only fs/cgroup.
  "/sys/[^f]*/** wklx",
  "/sys/f[^s]*/** wklx",
  "/sys/fs/[^c]*/** wklx",
  "/sys/fs/c[^g]*/** wklx",
  "/sys/fs/cg[^r]*/** wklx",
  "/sys/firmware/** rwklx",
  "/sys/devices/virtual/powercap/** rwklx",
  "/sys/kernel/security/** rwklx",
];
