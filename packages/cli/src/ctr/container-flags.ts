import { defineFlags } from "../command/index.ts";
import { defaultRuntime, snapshotterFlag } from "./globals.ts";

/** What a container is made with: flags of `run` and of `containers create`. */
export const containerFlags = defineFlags({
  snapshotter: snapshotterFlag,
  "snapshotter-label": { kind: "list", summary: "labels added to the new snapshot for this container." },
  config: { kind: "text", aliases: ["c"], summary: "path to the runtime-specific spec config file" },
  cwd: { kind: "text", summary: "specify the working directory of the process" },
  env: { kind: "list", summary: "specify additional container environment variables (e.g. FOO=bar)" },
  "env-file": {
    kind: "text",
    summary: "specify additional container environment variables in a file(e.g. FOO=bar, one per line)",
  },
  label: { kind: "list", summary: "specify additional labels (e.g. foo=bar)" },
  annotation: { kind: "list", summary: "specify additional OCI annotations (e.g. foo=bar)" },
  mount: {
    kind: "list",
    summary: "specify additional container mount (e.g. type=bind,src=/tmp,dst=/host,options=rbind:ro)",
  },
  "net-host": { kind: "switch", summary: "enable host networking for the container" },
  privileged: { kind: "switch", summary: "run privileged container" },
  "read-only": { kind: "switch", summary: "set the containers filesystem as readonly" },
  runtime: { kind: "text", summary: "runtime name", default: defaultRuntime },
  "runc-binary": { kind: "text", summary: "specify runc-compatible binary" },
  "runc-root": { kind: "text", summary: "specify runc-compatible root" },
  "runc-systemd-cgroup": { kind: "switch", summary: "start runc with systemd cgroup manager" },
  sandbox: { kind: "text", summary: "create the container in the given sandbox" },
  "blockio-config-file": {
    kind: "text",
    summary: "file path to blockio class definitions. By default class definitions are not loaded.",
  },
  "blockio-class": {
    kind: "text",
    summary: "name of the blockio class to associate the container with",
  },
  "runtime-config-path": { kind: "text", summary: "optional runtime config path" },
  tty: { kind: "switch", aliases: ["t"], summary: "allocate a TTY for the container" },
  "with-ns": {
    kind: "list",
    summary: "specify existing Linux namespaces to join at container runtime (format '<nstype>:<path>')",
  },
  "pid-file": { kind: "text", summary: "file path to write the task's pid" },
  gpus: { kind: "list", summary: "add gpus to the container" },
  "allow-new-privs": { kind: "switch", summary: "turn off OCI spec's NoNewPrivileges feature flag" },
  "memory-limit": { kind: "integer", summary: "memory limit (in bytes) for the container", default: 0 },
  device: {
    kind: "list",
    summary:
      "file path to a device to add to the container; or a path to a directory tree of devices to add to the container",
  },
  "cap-add": { kind: "list", summary: "add Linux capabilities (Set capabilities with 'CAP_' prefix)" },
  "cap-drop": { kind: "list", summary: "drop Linux capabilities (Set capabilities with 'CAP_' prefix)" },
  seccomp: { kind: "switch", summary: "enable the default seccomp profile" },
  "seccomp-profile": {
    kind: "text",
    summary: "file path to custom seccomp profile. seccomp must be set to true, before using seccomp-profile",
  },
  "apparmor-default-profile": {
    kind: "text",
    summary: 'enable AppArmor with the default profile with the specified name, e.g. "cri-containerd.apparmor.d"',
  },
  "apparmor-profile": { kind: "text", summary: "enable AppArmor with an existing custom profile" },
  "rdt-class": {
    kind: "text",
    summary:
      "name of the RDT class to associate the container with. Specifies a Class of Service (CLOS) for cache and memory bandwidth management.",
  },
  rootfs: { kind: "switch", summary: "use custom rootfs that is not managed by containerd snapshotter" },
  "no-pivot": { kind: "switch", summary: "disable use of pivot-root (linux only)" },
  "cpu-quota": { kind: "integer", summary: "Limit CPU CFS quota", default: -1 },
  "cpu-period": { kind: "integer", summary: "Limit CPU CFS period", default: 0 },
  "rootfs-propagation": { kind: "text", summary: "set the propagation of the container rootfs" },
  hostname: { kind: "text", summary: "set the container's host name" },
  user: {
    kind: "text",
    aliases: ["u"],
    summary: "username or user id, group optional (format: <name|uid>[:<group|gid>])",
  },
});

/** What `run` has beside them. */
export const runFlags = defineFlags({
  rm: { kind: "switch", summary: "remove the container after running, cannot be used with --detach" },
  "null-io": { kind: "switch", summary: "send all IO to /dev/null" },
  "log-uri": { kind: "text", summary: "log uri" },
  detach: {
    kind: "switch",
    aliases: ["d"],
    summary: "detach from the task after it has started execution, cannot be used with --rm",
  },
  "fifo-dir": { kind: "text", summary: "directory used for storing IO FIFOs" },
  cgroup: { kind: "text", summary: 'cgroup path (To disable use of cgroup, set to "" explicitly)' },
  platform: { kind: "text", summary: "run image for specific platform" },
  cni: { kind: "switch", summary: "enable cni networking for the container" },
  uidmap: {
    kind: "list",
    value: "container-uid:host-uid:length",
    summary:
      "run inside a user namespace with the specified UID mapping range; specified with the format container-uid:host-uid:length",
  },
  gidmap: {
    kind: "list",
    value: "container-gid:host-gid:length",
    summary:
      "run inside a user namespace with the specified GID mapping range; specified with the format container-gid:host-gid:length",
  },
  "remap-labels": {
    kind: "switch",
    summary:
      "provide the user namespace ID remapping to the snapshotter via label options; requires snapshotter support",
  },
  "cpuset-cpus": {
    kind: "text",
    summary: "set the CPUs the container will run in (e.g., 1-2,4)",
  },
  "cpuset-mems": {
    kind: "text",
    summary: "set the memory nodes the container will run in (e.g., 1-2,4)",
  },
  "privileged-without-host-devices": {
    kind: "switch",
    summary: "don't pass all host devices to privileged container",
  },
  "rlimit-nofile": { kind: "text", summary: "set RLIMIT_NOFILE" },
  "sync-fs": {
    kind: "switch",
    summary: "synchronize the underlying filesystem containing files when unpack images, false by default",
  },
  "dump-config": { kind: "text", summary: "dump the generated OCI config to a file" },
  cpus: { kind: "number", summary: "set the CFS cpu quota", default: 0 },
  "cpu-shares": { kind: "integer", summary: "set the cpu shares", default: 1024 },
  ...containerFlags,
});
