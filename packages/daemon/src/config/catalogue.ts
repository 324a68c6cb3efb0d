import {
  type ConfigKeys,
  configTable,
  duration,
  flag,
  integer,
  oneOf,
  table,
  text,
  texts,
} from "@hull/engine/plugin/config";

/**
 * Every key of the configuration file outside of the plugins' tables, which their declarations hold. Names are containerd's; `absent`
 * lists what a file may have that hull reads but has no use for yet.
 */

/** Where hull keeps its things unless told otherwise: laid out as containerd's, under names of its own. */
export const defaults = {
  config: "/etc/hull/config.toml",
  imports: "/etc/hull/conf.d/*.toml",
  root: "/var/lib/hull",
  state: "/run/hull",
  address: "/run/hull/hull.sock",
} as const;

/** Ids of users and groups: 2^32 - 1 means "unchanged" to chown(2). */
const id = { min: 0, max: 2 ** 32 - 2 };
const messageSize = { min: 1, max: 2 ** 31 - 1 };

export const topKeys = {
  version: integer(4, "Version of the file's format", { min: 1, max: 4 }),
  root: text(defaults.root, "Directory of what survives a reboot"),
  state: text(defaults.state, "Directory of what doesn't: sockets, running tasks"),
  temp: text("", "Directory of temporary files, TMPDIR of the daemon and its children; empty: as it was started"),
  imports: texts([], "Files (globs) that are merged into this one, in order; relative to this file"),
  disabled_plugins: texts([], "Plugins left out, as <type>.<id>"),
  required_plugins: texts([], "Plugins without which the daemon doesn't start, as <type>.<id>"),
  oom_score: integer(0, "OOM score adjustment of the daemon", { min: -1000, max: 1000 }),
} satisfies ConfigKeys;

const socketKeys = {
  uid: integer(0, "Owner of the socket", id),
  gid: integer(0, "Group of the socket", id),
};

/** The tables by name, each with its keys. */
export const tables = {
  grpc: configTable({
    address: text(defaults.address, "Unix socket of the gRPC services"),
    ...socketKeys,
    tcp_address: text("", "Where clients with a certificate reach the gRPC services, as host:port; empty: nowhere"),
    tcp_tls_cert: text("", "The server's certificate for them, a PEM file"),
    tcp_tls_key: text("", "The key of the certificate, a PEM file"),
    tcp_tls_ca: text("", "Who signs the certificates of these clients, a PEM file"),
    max_recv_message_size: integer(16 * 1024 * 1024, "Largest message taken, bytes", messageSize),
    max_send_message_size: integer(16 * 1024 * 1024, "Largest message sent, bytes", messageSize),
  }),
  ttrpc: configTable({
    address: text("", "Unix socket of the ttrpc services; empty: the gRPC socket's path with .ttrpc"),
    uid: socketKeys.uid,
    gid: socketKeys.gid,
  }),
  debug: configTable({
    address: text("", "Where profiles are had: a unix socket's path, or host:port; empty: nowhere"),
    ...socketKeys,
    level: oneOf(
      ["", "trace", "debug", "info", "warn", "error", "fatal", "panic"],
      "",
      "Least severe level that is logged",
    ),
    format: oneOf(["", "text", "json"], "", "How log lines are written; empty: text"),
  }),
  metrics: configTable({
    address: text("", "Where Prometheus finds /v1/metrics, as host:port; empty: nowhere"),
    grpc_histogram: flag(false, "Keep how long calls took, too"),
  }),
  cgroup: configTable({
    path: text("", "Control group that the daemon enters, such as /hull; empty: the one that it was started in"),
  }),
} as const;

/** Timeouts by name: what they bound, and containerd's defaults. */
export const timeoutKeys = {
  "io.containerd.timeout.bolt.open": duration("0s", "Unused: the metadata is opened at once or not at all"),
  "io.containerd.timeout.shim.cleanup": duration("5s", "Cleaning up behind a shim that died"),
  "io.containerd.timeout.shim.load": duration("5s", "Connecting to a shim of an earlier run"),
  "io.containerd.timeout.shim.shutdown": duration("3s", "Ending a shim"),
  "io.containerd.timeout.task.state": duration("2s", "Asking a shim for the state of a task"),
  "io.containerd.timeout.metrics.shimstats": duration("2s", "Asking a shim for metrics"),
  "io.containerd.timeout.cri.defercleanup": duration("1m", "Cleaning up behind a failed pod"),
} satisfies ConfigKeys;

/** Tables of the user's own keys. */
export const openTables = {
  timeouts: table("Timeouts by name, as durations"),
  access: table("Further sockets with limits, by name: address, uid, gid, read_only, namespaces"),
  proxy_plugins: table("Plugins that other processes serve"),
  stream_processors: table("Programs that decode layers"),
  plugins: table("Tables of the plugins by <type>.<id>"),
} satisfies ConfigKeys;

/** What hull reads without a warning of an unknown key but says it doesn't do: `table` or `table.key`, and why. */
export const absent: Readonly<Record<string, string>> = {
  "timeouts.io.containerd.timeout.bolt.open": "the metadata is opened at once or not at all",
  plugin_dir: "Go plugins can't be loaded",
  "grpc.tcp_tls_common_name": "it names a certificate in the store of Windows",
  "debug.log_trace_id": "log lines don't carry the ids of traces",
  "io.containerd.cri.v1.images.use_local_image_pull": "images are always pulled by the transfer service",
  "io.containerd.cri.v1.images.image_decryption.key_model": "images aren't decrypted by keys of the node",
  "io.containerd.cri.v1.runtime.containerd.ignore_blockio_not_enabled_errors": "block I/O classes aren't there yet",
  "io.containerd.cri.v1.runtime.containerd.ignore_rdt_not_enabled_errors": "RDT classes aren't there yet",
  "io.containerd.cri.v1.runtime.containerd.default_runtime": "name one of the runtimes in default_runtime_name",
  "io.containerd.cri.v1.runtime.containerd.untrusted_workload_runtime": 'name a runtime "untrusted"',
  "io.containerd.cri.v1.runtime.containerd.no_pivot": "it is an option of the runtime",
  "io.containerd.cri.v1.runtime.containerd.runtimes.runtime_engine": "it is the option BinaryName of the runtime",
  "io.containerd.cri.v1.runtime.containerd.runtimes.runtime_root": "it is the option Root of the runtime",
  "io.containerd.cri.v1.runtime.disable_cgroup": "containers always have control groups",
  "io.containerd.cri.v1.runtime.systemd_cgroup": "it is the option SystemdCgroup of the runtime",
  "io.containerd.cri.v1.runtime.cni.use_internal_loopback":
    "the loopback interface is always brought up without a plugin",
  "io.containerd.cri.v1.runtime.disable_proc_mount": "the kubelet says which paths of /proc are masked",
  "io.containerd.grpc.v1.cri.disable_tcp_service": "the CRI is served with the other services alone",
  "io.containerd.podsandbox.controller.v1.podsandbox": "the CRI keeps pods without a controller",
  "io.containerd.internal.v1.opt": "installing from images isn't there yet",
  "io.containerd.metadata.v1.bolt.no_sync": "what was answered is always on disk",
  "io.containerd.runtime.v2.task.sched_core": "core scheduling isn't there yet",
  "io.containerd.shim.v1.manager": "the shim's environment and socket directory are fixed",
  "io.containerd.service.v1.tasks-service": "block I/O and RDT classes aren't there yet",
  "io.containerd.runtime.v1.linux": "shims of containerd 1.0 aren't supported",
  "io.containerd.snapshotter.v1.aufs": "hull has no aufs snapshotter",
  "io.containerd.snapshotter.v1.devmapper": "hull has no devmapper snapshotter yet",
  "io.containerd.snapshotter.v1.zfs": "hull has no zfs snapshotter",
  "io.containerd.snapshotter.v1.erofs.enable_fsverity": "layers aren't sealed with fs-verity yet",
  "io.containerd.snapshotter.v1.erofs.set_immutable": "layers aren't marked as immutable yet",
  "io.containerd.snapshotter.v1.erofs.default_size": "changes are kept in directories, not in files of a size",
  "io.containerd.snapshotter.v1.erofs.dmverity_mode": "layers aren't checked with dm-verity yet",
  "io.containerd.snapshotter.v1.erofs.layer_content_caches": "layers aren't taken from caches yet",
  "io.containerd.differ.v1.erofs": "hull has no erofs differ yet",
};

/** What plugins were called in version 2 of the format, and in version 1 by their ids alone, and are called since. */
export const renamedPlugins: Readonly<Record<string, string>> = {
  "io.containerd.internal.v1.restart": "io.containerd.monitor.container.v1.restart",
  "io.containerd.monitor.v1.cgroups": "io.containerd.monitor.task.v1.cgroups",
  aufs: "io.containerd.snapshotter.v1.aufs",
  bolt: "io.containerd.metadata.v1.bolt",
  btrfs: "io.containerd.snapshotter.v1.btrfs",
  cgroups: "io.containerd.monitor.task.v1.cgroups",
  cri: "io.containerd.grpc.v1.cri",
  devmapper: "io.containerd.snapshotter.v1.devmapper",
  "diff-service": "io.containerd.service.v1.diff-service",
  linux: "io.containerd.runtime.v1.linux",
  native: "io.containerd.snapshotter.v1.native",
  opt: "io.containerd.internal.v1.opt",
  otlp: "io.containerd.tracing.processor.v1.otlp",
  overlayfs: "io.containerd.snapshotter.v1.overlayfs",
  restart: "io.containerd.monitor.container.v1.restart",
  scheduler: "io.containerd.gc.v1.scheduler",
  task: "io.containerd.runtime.v2.task",
  tracing: "io.containerd.internal.v1.tracing",
  zfs: "io.containerd.snapshotter.v1.zfs",
};

/** Tables of version 4 that were tables of their own before, by plugin; `keys` are those with another name there. */
export const serverPlugins: Readonly<
  Record<string, { table: keyof typeof tables; keys?: Readonly<Record<string, string>> }>
> = {
  "io.containerd.server.v1.grpc": { table: "grpc" },
  "io.containerd.server.v1.grpc-tcp": {
    table: "grpc",
    keys: {
      address: "tcp_address",
      tls_ca: "tcp_tls_ca",
      tls_cert: "tcp_tls_cert",
      tls_key: "tcp_tls_key",
      tls_common_name: "tcp_tls_common_name",
    },
  },
  "io.containerd.server.v1.ttrpc": { table: "ttrpc" },
  "io.containerd.server.v1.debug": { table: "debug" },
  "io.containerd.server.v1.metrics": { table: "metrics" },
  "io.containerd.metrics.v1.grpc-prometheus": { table: "metrics" },
};
