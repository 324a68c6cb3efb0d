/**
 * The CRI's tables of the configuration, with containerd's keys and defaults (version 3 of its file's format). The one table that
 * version 2 had, `io.containerd.grpc.v1.cri`, the daemon splits when it reads the file.
 */

import {
  type ConfigOf,
  configTable,
  duration,
  flag,
  integer,
  oneOf,
  table,
  tableOf,
  tablesOf,
  text,
  texts,
} from "@hull/engine/plugin/config";

const maxInteger = { min: 0, max: 2 ** 31 - 1 };

/** What images are pulled and unpacked with. */
export const imagesTable = configTable({
  snapshotter: text("overlayfs", "Snapshotter of pods whose runtime doesn't name its own"),
  disable_snapshot_annotations: flag(true, "Don't tell snapshotters which layers of which image they unpack"),
  discard_unpacked_layers: flag(false, "Let the collector have the layers of images once they are unpacked"),
  max_concurrent_downloads: integer(3, "Layers of an image that are fetched side by side", maxInteger),
  max_concurrent_pulls: integer(
    0,
    "Images that are pulled side by side on this node; 0: all that are asked for",
    maxInteger,
  ),
  concurrent_layer_fetch_buffer: integer(
    0,
    "Bytes of a layer that are fetched as parts side by side; 0: never",
    maxInteger,
  ),
  image_pull_progress_timeout: duration("5m0s", "After how long without a byte a pull is given up; 0s: never"),
  image_pull_with_sync_fs: flag(false, "Write an unpacked image to the disk before it counts"),
  stats_collect_period: integer(10, "Seconds that the use of disk by snapshots may be old", maxInteger),
  use_local_image_pull: flag(false, "Pull without the transfer service"),
  pinned_images: table("Images that the kubelet doesn't collect; sandbox is the one of pause processes"),
  registry: tableOf(
    {
      config_path: text(
        "/etc/containerd/certs.d:/etc/docker/certs.d",
        "Directories of hosts.toml files, divided by colons",
      ),
      headers: table("Headers of every request to a registry: lists of texts by name"),
      mirrors: table("Deprecated: endpoints by registry"),
      configs: table("Deprecated: TLS and credentials by registry"),
      auths: table("Deprecated: credentials by registry"),
    },
    "How registries are spoken to",
  ),
  image_decryption: tableOf({ key_model: text("node", "Where the keys of encrypted images are") }, "Encrypted images"),
  runtime_platforms: tablesOf(
    {
      platform: text("", "Platform of this runtime's images; empty: the host's"),
      snapshotter: text("", "Snapshotter of this runtime's images; empty: the one above"),
    },
    "Images of runtimes that want other ones, by the runtime's name",
  ),
});

/** One runtime handler. */
const runtimeKeys = {
  runtime_type: text("io.containerd.runc.v2", "Shim: a name as io.containerd.runc.v2, or the path of its executable"),
  runtime_path: text("", "Path of the shim's executable, instead of the one that the type leads to"),
  pod_annotations: texts([], "Patterns of the pod's annotations that its containers' specs carry"),
  container_annotations: texts([], "Patterns of a container's annotations that its spec carries"),
  options: table("Options of the shim: BinaryName, Root, SystemdCgroup …"),
  privileged_without_host_devices: flag(false, "Privileged containers don't get the host's devices"),
  privileged_without_host_devices_all_devices_allowed: flag(false, "… but may open all that they make"),
  cgroup_writable: flag(false, "Containers may write their control group, unless unprivileged ones share it"),
  base_runtime_spec: text("", "Path of a JSON file: the OCI spec that containers start from"),
  cni_conf_dir: text("", "Directory of this runtime's network configurations; empty: the common one"),
  cni_max_conf_num: integer(0, "How many of them are used; 0: all", maxInteger),
  snapshotter: text("", "Snapshotter of this runtime's containers; empty: the common one"),
  sandboxer: text("podsandbox", "Sandbox controller: podsandbox, or shim for shims that are one"),
  disable_pause_image_pull: flag(false, "Don't fetch the image of pause processes: the shim needs none"),
  // containerd has "streaming" too, for shims that carry output over their sandbox's connection.
  io_type: oneOf(["", "fifo"], "", "How output leaves the container; empty: fifo"),
};

/** How pods and containers are made. */
export const runtimeTable = configTable({
  containerd: tableOf(
    {
      default_runtime_name: text("runc", "Handler of pods that don't ask for one"),
      ignore_blockio_not_enabled_errors: flag(false, "Run containers with a block I/O class where there are none"),
      ignore_rdt_not_enabled_errors: flag(false, "Run containers with an RDT class where there are none"),
      runtimes: tablesOf(runtimeKeys, "Runtime handlers by name", { runc: {} }),
    },
    "Runtime handlers",
  ),
  cni: tableOf(
    {
      bin_dir: text("", "Deprecated: the directory of plugins; bin_dirs takes several"),
      bin_dirs: texts(["/opt/cni/bin"], "Directories of plugins"),
      conf_dir: text("/etc/cni/net.d", "Directory of network configurations"),
      max_conf_num: integer(1, "How many of them are used, the first by name; 0: all", maxInteger),
      setup_serially: flag(false, "Add a pod to its networks one after the other"),
      conf_template: text("", "Path of a template from which the kubelet's address range makes a configuration"),
      ip_pref: oneOf(["", "ipv4", "ipv6", "cni"], "", "Which address is a pod's first; empty: ipv4"),
      use_internal_loopback: flag(false, "Bring up the loopback interface without a plugin; hull always does"),
    },
    "Networks of pods",
  ),
  enable_selinux: flag(false, "Label processes and files"),
  selinux_category_range: integer(1024, "Categories that labels are taken from", { min: 0, max: 1024 }),
  max_container_log_line_size: integer(16384, "Bytes after which a line of a log is divided; 0 or less: never"),
  disable_apparmor: flag(false, "Don't confine containers by AppArmor"),
  restrict_oom_score_adj: flag(false, "Don't go below the daemon's own OOM score adjustment"),
  disable_proc_mount: flag(false, "Ignore which paths of /proc a container masks; deprecated"),
  unset_seccomp_profile: text(
    "",
    "Profile of containers that don't say: runtime/default, unconfined or localhost/path",
  ),
  tolerate_missing_hugetlb_controller: flag(
    true,
    "Run containers with limits of huge pages where there is no controller",
  ),
  disable_hugetlb_controller: flag(true, "Don't limit huge pages"),
  device_ownership_from_security_context: flag(false, "Devices belong to the container's user and group"),
  ignore_image_defined_volumes: flag(false, "Don't make the volumes that images name"),
  netns_mounts_under_state_dir: flag(false, "Keep network namespaces below the state directory, not in /var/run/netns"),
  enable_unprivileged_ports: flag(true, "Every user of a pod may bind ports below 1024"),
  enable_unprivileged_icmp: flag(true, "Every group of a pod may send pings"),
  enable_cdi: flag(true, "Give devices by their CDI names"),
  cdi_spec_dirs: texts(["/etc/cdi", "/var/run/cdi"], "Where devices of CDI are described"),
  drain_exec_sync_io_timeout: duration("0s", "How long output of an ended exec is waited for; 0s: until it ends"),
  pods_per_shim: integer(
    2,
    "How many pods a shim of hull's own keeps at most, of one runtime with the same options; they end together if it crashes",
    { min: 1, max: 16 },
  ),
  ignore_deprecation_warnings: texts([], "Deprecations that the status doesn't tell of"),
  stats_collect_period: duration("1s", "How far samples of processor use lie apart"),
  stats_retention_period: duration("2m0s", "How long samples are kept"),
  enable_criu: flag(true, "Make checkpoints of containers"),
  enable_experimental_restore_via_create: flag(
    false,
    "Make containers from checkpoints, by archives or images of them",
  ),
});

/** The server. */
export const grpcTable = configTable({
  disable_tcp_service: flag(true, "Serve the CRI on the sockets of the other services alone; hull always does"),
  stream_server_address: text("127.0.0.1", "Address of exec, attach and port-forward; empty: the host's first"),
  stream_server_port: text("0", "Their port; 0: any"),
  stream_idle_timeout: duration("4h0m0s", "After how long without a byte a stream is ended"),
  enable_tls_streaming: flag(false, "Encrypt them"),
  x509_key_pair_streaming: tableOf(
    { tls_cert_file: text("", "PEM file"), tls_key_file: text("", "PEM file") },
    "With this certificate; without: one made up for this run",
  ),
});

/** A runtime handler of the configuration. */
export type HandlerConfig = ConfigOf<typeof runtimeKeys>;
export type CriImagesConfig = ReturnType<typeof imagesTable.parse>;
export type CriRuntimeConfig = ReturnType<typeof runtimeTable.parse>;
export type CriGrpcConfig = ReturnType<typeof grpcTable.parse>;

/** All of the CRI's configuration: keys as in the file, durations in milliseconds. */
export interface CriConfig {
  readonly images: CriImagesConfig;
  readonly runtime: CriRuntimeConfig;
  readonly grpc: CriGrpcConfig;
}

/** What an empty file makes; also what tests start from. */
export const defaultCriConfig = (): CriConfig => ({
  images: imagesTable.parse({}),
  runtime: runtimeTable.parse({}),
  grpc: grpcTable.parse({}),
});

/** The image of pause processes. */
export const pauseImage = ({ pinned_images: { sandbox } }: CriImagesConfig): string =>
  typeof sandbox === "string" && sandbox !== "" ? sandbox : "registry.k8s.io/pause:3.10.2";
