/** The spec that a container gets unless told otherwise: containerd's default for Linux. */

import type { NamespaceType, Spec } from "./types.ts";

/** The version of the runtime spec that is written: what runc 1.1 and crun 1.8 and all newer ones read. */
export const specVersion = "1.0.2-dev";

/** Capabilities of an unprivileged container. */
export const defaultCapabilities: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

/** Where programs are looked for unless the image says. */
export const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const namespaces: readonly NamespaceType[] = ["pid", "ipc", "uts", "mount", "network"];

// Devices that the OCI runtime makes by itself, and terminals: null, zero, full, tty, urandom, random, console, pts, ptmx.
const allowedDevices: readonly { major: number; minor?: number }[] = [
  { major: 1, minor: 3 },
  { major: 1, minor: 8 },
  { major: 1, minor: 7 },
  { major: 5, minor: 0 },
  { major: 1, minor: 5 },
  { major: 1, minor: 9 },
  { major: 5, minor: 1 },
  { major: 136 },
  { major: 5, minor: 2 },
];

/**
 * The default spec of container `id` in `namespace`; a new object each time. It has no `process.args`: those come from the image or
 * the caller.
 */
export function defaultSpec(options: { namespace: string; id: string; cgroup2?: boolean }): Spec {
  return {
    ociVersion: specVersion,
    process: {
      user: { uid: 0, gid: 0 },
      cwd: "/",
      capabilities: {
        bounding: [...defaultCapabilities],
        effective: [...defaultCapabilities],
        permitted: [...defaultCapabilities],
      },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
      },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
      {
        destination: "/dev/shm",
        type: "tmpfs",
        source: "shm",
        options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
      },
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      {
        destination: "/run",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
      },
    ],
    linux: {
      resources: {
        devices: [
          { allow: false, access: "rwm" },
          ...allowedDevices.map((device) => ({ allow: true, type: "c", ...device, access: "rwm" })),
        ],
      },
      cgroupsPath: `/${options.namespace}/${options.id}`,
      namespaces: [...namespaces, ...(options.cgroup2 === true ? (["cgroup"] as const) : [])].map((type) => ({ type })),
      maskedPaths: [
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/sys/firmware",
        // Power readings leak what other programs compute (CVE-2020-8694); containerd masks it since 1.6.24.
        "/sys/devices/virtual/powercap",
        "/proc/scsi",
      ],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}
