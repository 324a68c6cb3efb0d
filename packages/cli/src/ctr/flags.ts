import { defineFlags } from "../command/index.ts";
import { defaultRuntime, snapshotterFlag } from "./globals.ts";

/** Flags of ctr's commands, by command; those that make containers are in `container-flags.ts`. */

const quiet = (what: string) => ({ kind: "switch", aliases: ["q"], summary: `print only ${what}` }) as const;

/** Why a flag of containerd's main branch isn't served. */
const unreleased = "containerd has it not released yet";

export const pluginsList = defineFlags({
  quiet: quiet("the plugin ids"),
  detailed: { kind: "switch", aliases: ["d"], summary: "print detailed information about each plugin" },
});
export const namespacesList = defineFlags({ quiet: quiet("the namespace name") });
export const namespacesRemove = defineFlags({
  cgroup: { kind: "switch", aliases: ["c"], summary: "delete the namespace's cgroup" },
});
const locally = "accepted for containerd's sake: hull's daemon does the same work either way";

export const imagesImport = defineFlags({
  "base-name": {
    kind: "text",
    summary: "base image name for added images, when provided only images with this name prefix are imported",
  },
  digests: { kind: "switch", summary: "whether to create digest images (default: false)" },
  "skip-digest-for-named": {
    kind: "switch",
    summary:
      "skip applying --digests option to images named in the importing tar (use it in conjunction with --digests)",
  },
  "index-name": { kind: "text", summary: "image name to keep index as, by default index is discarded" },
  "all-platforms": { kind: "switch", summary: "imports content for all platforms, false by default" },
  platform: { kind: "text", summary: "imports content for specific platform" },
  "no-unpack": { kind: "switch", summary: "skip unpacking the images, false by default" },
  "compress-blobs": {
    kind: "switch",
    summary: "compress uncompressed blobs when creating manifest (Docker format only)",
  },
  snapshotter: snapshotterFlag,
  local: { kind: "switch", summary: locally },
  "sync-fs": {
    kind: "switch",
    summary: "synchronize the underlying filesystem containing files when unpack images, false by default",
  },
  "discard-unpacked-layers": {
    kind: "switch",
    summary:
      "allow the garbage collector to clean layers up from the content store after unpacking, cannot be used with --no-unpack; needs --local",
  },
  label: { kind: "list", summary: "labels to attach to the image" },
});
/** How a registry is spoken to. */
export const registryFlags = defineFlags({
  "skip-verify": { kind: "switch", aliases: ["k"], summary: "skip SSL certificate validation" },
  "plain-http": { kind: "switch", summary: "allow connections using plain HTTP" },
  user: { kind: "text", aliases: ["u"], summary: "user[:password] Registry user and password" },
  refresh: { kind: "text", summary: "refresh token for authorization server" },
  "hosts-dir": { kind: "text", summary: "Custom hosts configuration directory" },
  tlscacert: { kind: "text", summary: "path to TLS root CA" },
  tlscert: { kind: "text", summary: "path to TLS client certificate" },
  tlskey: { kind: "text", summary: "path to TLS client key" },
  "http-dump": {
    kind: "switch",
    summary: "dump all HTTP request/responses when interacting with container registry",
  },
  "http-trace": { kind: "switch", summary: "enable HTTP tracing for registry interactions" },
});
export const contentFetch = defineFlags({
  ...registryFlags,
  label: { kind: "list", summary: "labels to attach to the image" },
  platform: { kind: "list", summary: "Pull content from a specific platform" },
  "all-platforms": { kind: "switch", summary: "pull content from all platforms" },
  "all-metadata": { kind: "switch", summary: "Pull metadata for all platforms" },
  "skip-metadata": {
    kind: "switch",
    summary: "Skips metadata for unused platforms (Image may be unable to be pushed without metadata)",
  },
  "metadata-only": {
    kind: "switch",
    summary: "Pull all metadata including manifests and configs",
  },
});
export const contentFetchBlob = defineFlags({
  ...registryFlags,
  "media-type": { kind: "text", summary: "Specify target mediatype for request header" },
});
export const imagesExport = defineFlags({
  "skip-manifest-json": { kind: "switch", summary: "do not add Docker compatible manifest.json to archive" },
  "skip-non-distributable": {
    kind: "switch",
    summary: "do not add non-distributable blobs such as Windows layers to archive",
  },
  platform: { kind: "list", summary: "Pull content from a specific platform" },
  "all-platforms": { kind: "switch", summary: "exports content from all platforms" },
  local: { kind: "switch", summary: locally },
});
export const imagesPush = defineFlags({
  ...registryFlags,
  manifest: { kind: "text", summary: "digest of manifest" },
  "manifest-type": {
    kind: "text",
    summary: "media type of manifest digest",
    default: "application/vnd.oci.image.manifest.v1+json",
  },
  platform: { kind: "list", summary: "push content from a specific platform" },
  "max-concurrent-uploaded-layers": {
    kind: "integer",
    summary: "Set the max concurrent uploaded layers for each push",
    default: 0,
  },
  local: { kind: "switch", summary: locally },
  "allow-non-distributable-blobs": {
    kind: "switch",
    summary: "Allow pushing blobs that are marked as non-distributable",
  },
});
export const imagesMount = defineFlags({
  ...registryFlags,
  snapshotter: snapshotterFlag,
  label: { kind: "list", summary: "labels to attach to the image" },
  rw: { kind: "switch", summary: "Enable write support on the mount" },
  platform: { kind: "text", summary: "Mount the image for the specified platform" },
  "sync-fs": {
    kind: "switch",
    summary: "synchronize the underlying filesystem containing files when unpack images, false by default",
  },
  expiration: { kind: "duration", aliases: ["x"], summary: "expiration of the mount's lease", default: 86_400_000 },
});
export const imagesUnmount = defineFlags({
  ...registryFlags,
  snapshotter: snapshotterFlag,
  label: {
    kind: "list",
    summary: "labels to attach to the image",
    supported: false,
    why: "what is unmounted is a place, not an image; ctr images label does it",
  },
  rm: { kind: "switch", summary: "remove the snapshot after a successful unmount" },
});
export const imagesUsage = defineFlags({ snapshotter: snapshotterFlag });
export const imagesInspect = defineFlags({ content: { kind: "switch", summary: "Show JSON content" } });
export const imagesPrune = defineFlags({
  all: {
    kind: "switch",
    summary: "remove all unused images, not just dangling ones (if all is not specified no images will be pruned)",
  },
});
export const imagesConvert = defineFlags({
  uncompress: { kind: "switch", summary: "convert tar.gz layers to uncompressed tar layers" },
  oci: { kind: "switch", summary: "convert Docker media types to OCI media types" },
  zstd: { kind: "switch", summary: "convert layers to zstd (hull's own)" },
  platform: { kind: "list", summary: "Pull content from a specific platform" },
  "all-platforms": { kind: "switch", summary: "exports content from all platforms" },
  erofs: { kind: "text", summary: "convert layers to EROFS", supported: false, why: unreleased },
  "erofs-compressors": { kind: "text", summary: "compressors of EROFS layers", supported: false, why: unreleased },
  "erofs-mkfs-options": { kind: "text", summary: "options of mkfs.erofs", supported: false, why: unreleased },
});
export const imagesPull = defineFlags({
  ...registryFlags,
  snapshotter: snapshotterFlag,
  label: { kind: "list", summary: "labels to attach to the image" },
  platform: { kind: "list", summary: "Pull content from a specific platform" },
  "all-platforms": { kind: "switch", summary: "pull content and metadata from all platforms" },
  "all-metadata": { kind: "switch", summary: "Pull metadata for all platforms" },
  "print-chainid": { kind: "switch", summary: "Print the resulting image's chain ID" },
  "max-concurrent-downloads": {
    kind: "integer",
    summary: "Set the max concurrent downloads for each pull",
  },
  local: { kind: "switch", summary: locally },
  "sync-fs": {
    kind: "switch",
    summary: "synchronize the underlying filesystem containing files when unpack images, false by default",
  },
  "skip-metadata": { kind: "switch", summary: "skip metadata for all platforms" },
});
export const imagesList = defineFlags({ quiet: quiet("the image refs") });
export const imagesCheck = defineFlags({
  quiet: quiet("the ready image refs (fully downloaded and unpacked)"),
  snapshotter: snapshotterFlag,
});
export const imagesRemove = defineFlags({
  sync: { kind: "switch", summary: "Synchronously remove image and all associated resources" },
});
export const imagesTag = defineFlags({
  force: { kind: "switch", summary: "force target_ref to be created, regardless if it already exists" },
  local: { kind: "switch", summary: locally },
  "skip-reference-check": {
    kind: "switch",
    summary: "skip the strict check for reference names; hull takes every name that the daemon takes",
  },
});
export const imagesLabel = defineFlags({
  "replace-all": { kind: "switch", aliases: ["r"], summary: "replace all labels" },
});
export const contentList = defineFlags({ quiet: quiet("the blob digest") });
export const contentIngest = defineFlags({
  "expected-size": { kind: "integer", summary: "validate against provided size", default: 0 },
  "expected-digest": { kind: "text", summary: "verify content against expected digest" },
});
export const contentActive = defineFlags({
  timeout: {
    kind: "duration",
    aliases: ["t"],
    summary: "total timeout for fetch",
    default: 0,
    env: ["CONTAINERD_FETCH_TIMEOUT"],
  },
  root: { kind: "text", summary: "accepted for containerd's sake, which reads it no more: the daemon keeps the store" },
});
export const snapshotsPrepare = defineFlags({
  target: { kind: "text", aliases: ["t"], summary: "mount target path, will print mount, if provided" },
  mounts: { kind: "switch", summary: "Print out snapshot mounts as JSON" },
});
export const snapshotsDiff = defineFlags({
  "media-type": {
    kind: "text",
    summary: "media type to use for creating diff",
    default: "application/vnd.oci.image.layer.v1.tar+gzip",
  },
  ref: { kind: "text", summary: "content upload reference to use" },
  keep: { kind: "switch", summary: "keep diff content. up to creator to delete it." },
  label: { kind: "list", summary: "labels to attach to the image" },
});
export const snapshotsUsage = defineFlags({ b: { kind: "switch", summary: "display size in bytes" } });
export const containersList = defineFlags({ quiet: quiet("the container id") });
export const containersInfo = defineFlags({ spec: { kind: "switch", summary: "only display the spec" } });
export const containersRemove = defineFlags({
  "keep-snapshot": { kind: "switch", summary: "do not clean up snapshot with container" },
});
export const tasksStart = defineFlags({
  "null-io": { kind: "switch", summary: "send all IO to /dev/null" },
  "log-uri": { kind: "text", summary: "log uri" },
  "fifo-dir": { kind: "text", summary: "directory used for storing IO FIFOs" },
  "pid-file": { kind: "text", summary: "file path to write the task's pid" },
  detach: { kind: "switch", aliases: ["d"], summary: "detach from the task after it has started execution" },
  "no-pivot": { kind: "switch", summary: "disable use of pivot-root (linux only)", hidden: true },
});
export const tasksList = defineFlags({ quiet: quiet("the task id") });
export const tasksExec = defineFlags({
  cwd: { kind: "text", summary: "working directory of the new process" },
  tty: { kind: "switch", aliases: ["t"], summary: "allocate a TTY for the container" },
  detach: { kind: "switch", aliases: ["d"], summary: "detach from the task after it has started execution" },
  "exec-id": { kind: "text", summary: "exec specific id for the process" },
  "fifo-dir": { kind: "text", summary: "directory used for storing IO FIFOs" },
  "log-uri": { kind: "text", summary: "log uri for custom shim logging" },
  user: { kind: "text", summary: "user id or name" },
});
export const tasksKill = defineFlags({
  signal: { kind: "text", aliases: ["s"], summary: "signal to send to the container" },
  "exec-id": { kind: "text", summary: "process ID to kill" },
  all: { kind: "switch", aliases: ["a"], summary: "send signal to all processes inside the container" },
});
export const tasksMetrics = defineFlags({ format: { kind: "text", summary: '"table" or "json"', default: "table" } });
export const tasksRemove = defineFlags({
  force: { kind: "switch", aliases: ["f"], summary: "force delete task process" },
  "exec-id": { kind: "text", summary: "process ID to kill" },
});
export const leasesList = defineFlags({ quiet: quiet("the blob digest") });
export const leasesCreate = defineFlags({
  id: { kind: "text", summary: "set the id for the lease, will be generated by default" },
  expires: {
    kind: "duration",
    aliases: ["x"],
    summary: "expiration of lease (0 value will not expire)",
    default: 86_400_000,
  },
});
export const leasesRemove = defineFlags({
  sync: { kind: "switch", summary: "Synchronously remove leases and all unreferenced resources" },
});
export const contentEdit = defineFlags({
  validate: { kind: "text", summary: "validate the result against a format (json, mediatype, etc.)" },
  editor: { kind: "text", summary: "select editor (vim, emacs, etc.)", env: ["EDITOR"] },
});
export const contentPruneReferences = defineFlags({
  async: { kind: "switch", summary: "allow garbage collection to cleanup asynchronously" },
  dry: { kind: "switch", summary: "just show updates without applying (enables debug logging)" },
});
export const ociSpec = defineFlags({
  platform: { kind: "text", summary: "platform of the spec to print (Examples: 'linux/arm64', 'windows/amd64')" },
});
export const deprecationsList = defineFlags({
  format: { kind: "text", summary: "output format to use (Examples: 'default', 'json')" },
});
export const pluginsInspectRuntime = defineFlags({
  runtime: { kind: "text", summary: "runtime name or absolute path to runtime binary", default: defaultRuntime },
  "runtime-config-path": { kind: "text", summary: "optional runtime config path" },
  "runc-binary": { kind: "text", summary: "specify runc-compatible binary" },
  "runc-root": { kind: "text", summary: "specify runc-compatible root" },
  "runc-systemd-cgroup": { kind: "switch", summary: "start runc with systemd cgroup manager" },
});
export const install = defineFlags({
  libs: { kind: "switch", aliases: ["l"], summary: "install libs from the image" },
  replace: { kind: "switch", aliases: ["r"], summary: "replace any binaries or libs in the opt directory" },
  path: { kind: "text", summary: "set an optional install path other than the managed opt directory" },
});
export const tasksCheckpoint = defineFlags({
  exit: { kind: "switch", summary: "stop the container after the checkpoint" },
  "image-path": { kind: "text", summary: "path to criu image files" },
  "work-path": { kind: "text", summary: "path to criu work files and logs" },
});
export const containersCheckpoint = defineFlags({
  rw: { kind: "switch", summary: "include the rw layer in the checkpoint" },
  image: { kind: "switch", summary: "include the image in the checkpoint" },
  task: { kind: "switch", summary: "checkpoint container task" },
});
export const containersRestore = defineFlags({
  rw: { kind: "switch", summary: "restore the rw layer from the checkpoint" },
  live: { kind: "switch", summary: "restore the runtime and memory data from the checkpoint" },
});
export const eventsFlags = defineFlags({
  since: {
    kind: "text",
    summary:
      "begin with what was missed: behind the event of this number (0: all that are kept), or from a time on (RFC 3339)",
  },
});
/** Of the group `pprof`. */
export const pprofFlags = defineFlags({
  "debug-socket": {
    kind: "text",
    aliases: ["d"],
    summary: "socket path for containerd's debug server",
    default: "/run/hull/debug.sock",
  },
});
const pprofDebug = (level: number) =>
  ({ kind: "integer", summary: "output format, value = 0: binary, value > 0: plaintext", default: level }) as const;
const pprofSeconds = (seconds: number) =>
  ({
    kind: "duration",
    aliases: ["s"],
    summary: "duration for collection (seconds)",
    default: seconds * 1000,
  }) as const;
export const pprofGoroutines = defineFlags({ debug: pprofDebug(2) });
export const pprofOther = defineFlags({ debug: pprofDebug(0) });
export const pprofProfile = defineFlags({ seconds: pprofSeconds(30), debug: pprofDebug(0) });
export const pprofTrace = defineFlags({ seconds: pprofSeconds(5), debug: pprofDebug(0) });
/** Of the group `shim`. */
export const shimFlags = defineFlags({
  id: { kind: "text", summary: "shim ID" },
  "shim-address": { kind: "text", summary: "shim address (default: computed from shim ID)" },
});
export const shimState = defineFlags({
  "task-id": { kind: "text", aliases: ["t"], summary: "task ID" },
  "api-version": { kind: "integer", summary: "shim API version {2,3}", default: 3 },
});
export const shimShutdown = defineFlags({
  "api-version": { kind: "integer", summary: "shim API version {2,3}", default: 3 },
});
export const shimExec = defineFlags({
  stdin: { kind: "text", summary: "specify the path to the stdin fifo" },
  stdout: { kind: "text", summary: "specify the path to the stdout fifo" },
  stderr: { kind: "text", summary: "specify the path to the stderr fifo" },
  tty: { kind: "switch", aliases: ["t"], summary: "enable tty support" },
  attach: { kind: "switch", aliases: ["a"], summary: "stay attached to the container and open the fifos" },
  env: { kind: "list", aliases: ["e"], summary: "add environment vars" },
  cwd: { kind: "text", summary: "current working directory" },
  spec: { kind: "text", summary: "runtime spec" },
});
export const snapshotsMounts = defineFlags({
  temp: {
    kind: "switch",
    summary: "mount the snapshot at a temporary place",
    supported: false,
    why: unreleased,
    hidden: true,
  },
});

export const snapshotsUnpack = defineFlags({
  "sync-fs": {
    kind: "switch",
    summary: "synchronize the underlying filesystem containing files when unpack images, false by default",
  },
  snapshotter: snapshotterFlag,
});
export const sandboxesRun = defineFlags({
  runtime: { kind: "text", summary: "runtime name", default: defaultRuntime },
});
export const sandboxesList = defineFlags({
  filters: { kind: "list", summary: "the list of filters to apply when querying sandboxes from the store" },
});
export const sandboxesRemove = defineFlags({
  force: { kind: "switch", aliases: ["f"], summary: "ignore shutdown errors when removing sandbox" },
});
