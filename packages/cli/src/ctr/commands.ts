import { type Command, command } from "../command/index.ts";
import { containerFlags, runFlags } from "./container-flags.ts";
import * as flags from "./flags.ts";
import { globalFlags, snapshotsFlags } from "./globals.ts";
import * as imageCommands from "./tree-images.ts";
import * as more from "./tree-more.ts";

/** ctr's commands, as containerd's ctr 1.6 has them. */

const removeAliases = ["del", "remove", "rm"];

/** One that containerd's ctr has and hull's has not: known, so that it says so. */
const missing = (
  name: string,
  summary: string,
  reason = "not supported by hull yet",
  aliases: readonly string[] = [],
): Command => ({
  name,
  aliases,
  summary,
  unsupported: reason,
  rawArguments: true,
  load: async () => {
    const { CtrError } = await import("./errors.ts");
    return () => Promise.reject(new CtrError(`"${name}" is ${reason}`));
  },
});

const plugins: Command = {
  name: "plugins",
  aliases: ["plugin"],
  summary: "provides information about containerd plugins",
  commands: [
    command({
      name: "list",
      aliases: ["ls"],
      summary: "lists containerd plugins",
      usage: "[arguments...]",
      flags: flags.pluginsList,
      load: async () => (await import("./plugins.ts")).listPlugins,
    }),
    more.inspectRuntime,
  ],
};

const namespaces: Command = {
  name: "namespaces",
  aliases: ["namespace", "ns"],
  summary: "manage namespaces",
  commands: [
    command({
      name: "create",
      aliases: ["c"],
      summary: "create a new namespace",
      usage: "<name> [<key>=<value>]",
      description: "create a new namespace. it must be unique",
      load: async () => (await import("./namespaces.ts")).createNamespace,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list namespaces",
      usage: "[flags]",
      description: "list namespaces",
      flags: flags.namespacesList,
      load: async () => (await import("./namespaces.ts")).listNamespaces,
    }),
    command({
      name: "remove",
      aliases: ["rm"],
      summary: "remove one or more namespaces",
      usage: "<name> [<name>, ...]",
      description: "remove one or more namespaces. for now, the namespace must be empty",
      flags: flags.namespacesRemove,
      load: async () => (await import("./namespaces.ts")).removeNamespaces,
    }),
    command({
      name: "label",
      summary: "set and clear labels for a namespace",
      usage: "<name> [<key>=<value>, ...]",
      description: "set and clear labels for a namespace. empty value clears the label",
      load: async () => (await import("./namespaces.ts")).labelNamespace,
    }),
  ],
};

const images: Command = {
  name: "images",
  aliases: ["image", "i"],
  summary: "manage images",
  commands: [
    command({
      name: "check",
      summary: "check existing images to ensure all content is available locally",
      usage: "[flags] [<filter>, ...]",
      description: "check existing images to ensure all content is available locally",
      flags: flags.imagesCheck,
      load: async () => (await import("./images-check.ts")).checkImages,
    }),
    imageCommands.exportImages,
    command({
      name: "import",
      summary: "import images",
      usage: "[flags] <in>",
      description: `Import images from a tar stream.
Implemented formats:
- oci.v1
- docker.v1.1
- docker.v1.2


For OCI v1, you may need to specify --base-name because an OCI archive may
contain only partial image references (tags without the base image name).
If no base image name is provided, a name will be generated as "import-%{yyyy-MM-dd}".

e.g.
  $ ctr images import --base-name foo/bar foobar.tar

If foobar.tar contains an OCI ref named "latest" and anonymous ref "sha256:deadbeef", the command will create
"foo/bar:latest" and "foo/bar@sha256:deadbeef" images in the containerd store.
`,
      flags: flags.imagesImport,
      load: async () => (await import("./images-transfer.ts")).importArchive,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list images known to containerd",
      usage: "[flags] [<filter>, ...]",
      description: "list images registered with containerd",
      flags: flags.imagesList,
      load: async () => (await import("./images.ts")).listImages,
    }),
    imageCommands.mount,
    imageCommands.unmount,
    command({
      name: "pull",
      summary: "pull an image from a remote",
      usage: "[flags] <ref>",
      description: `Fetch and prepare an image for use in containerd.

After pulling an image, it should be ready to use the same reference in a run
command. As part of this process, we do the following:

1. Fetch all resources into containerd.
2. Prepare the snapshot filesystem with the pulled resources.
3. Register metadata for the image.
`,
      flags: flags.imagesPull,
      load: async () => (await import("./images-transfer.ts")).pull,
    }),
    imageCommands.push,
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "remove one or more images by reference",
      usage: "[flags] <ref> [<ref>, ...]",
      description: "remove one or more images by reference",
      flags: flags.imagesRemove,
      load: async () => (await import("./images.ts")).removeImages,
    }),
    command({
      name: "tag",
      summary: "tag an image",
      usage: "[flags] <source_ref> <target_ref> [<target_ref>, ...]",
      description: "Tag an image for use in containerd.\n",
      flags: flags.imagesTag,
      load: async () => (await import("./images.ts")).tagImage,
    }),
    command({
      name: "label",
      summary: "set and clear labels for an image",
      usage: "[flags] <name> [<key>=<value>, ...]",
      description: "set and clear labels for an image",
      flags: flags.imagesLabel,
      load: async () => (await import("./images.ts")).labelImage,
    }),
    imageCommands.convert,
    imageCommands.inspect,
    imageCommands.prune,
    imageCommands.usage,
    missing(
      "build-erofs-cache",
      "build EROFS layers of an image",
      "not supported by hull: containerd has it not released yet",
    ),
  ],
};

const content: Command = {
  name: "content",
  summary: "manage content",
  commands: [
    command({
      name: "active",
      summary: "display active transfers",
      usage: "[flags] [<regexp>]",
      description: "display the ongoing transfers",
      flags: flags.contentActive,
      load: async () => (await import("./content.ts")).listActive,
    }),
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "permanently delete one or more blobs",
      usage: "[<digest>, ...]",
      description: "Delete one or more blobs permanently. Successfully deleted\n  blobs are printed to stdout.",
      load: async () => (await import("./content.ts")).removeContent,
    }),
    more.contentEdit,
    imageCommands.contentFetch,
    imageCommands.contentFetchObject,
    imageCommands.contentFetchBlob,
    command({
      name: "get",
      summary: "get the data for an object",
      usage: "[<digest>, ...]",
      description: "display the image object",
      load: async () => (await import("./content.ts")).getContent,
    }),
    command({
      name: "ingest",
      summary: "accept content into the store",
      usage: "[flags] <key>",
      description: "ingest objects into the local content store",
      flags: flags.contentIngest,
      load: async () => (await import("./content.ts")).ingestContent,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list all blobs in the store",
      usage: "[flags]",
      description: "list blobs in the content store",
      flags: flags.contentList,
      load: async () => (await import("./content.ts")).listContent,
    }),
    imageCommands.contentPushObject,
    more.contentLabel,
    more.contentPrune,
  ],
};

const snapshots: Command = {
  name: "snapshots",
  aliases: ["snapshot"],
  summary: "manage snapshots",
  flags: snapshotsFlags,
  commands: [
    command({
      name: "commit",
      summary: "commit an active snapshot into the provided name",
      usage: "<key> <active>",
      load: async () => (await import("./snapshots.ts")).commitSnapshot,
    }),
    command({
      name: "diff",
      summary: "get the diff of two snapshots. the default second snapshot is the first snapshot's parent.",
      usage: "[flags] <idA> [<idB>]",
      flags: flags.snapshotsDiff,
      load: async () => (await import("./snapshots-diff.ts")).diffSnapshots,
    }),
    command({
      name: "info",
      summary: "get info about a snapshot",
      usage: "<key>",
      load: async () => (await import("./snapshots.ts")).snapshotInfo,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list snapshots",
      load: async () => (await import("./snapshots.ts")).listSnapshots,
    }),
    command({
      name: "mounts",
      aliases: ["m", "mount"],
      summary: "mount gets mount commands for the snapshots",
      usage: "<target> <key>",
      flags: flags.snapshotsMounts,
      load: async () => (await import("./snapshots.ts")).snapshotMounts,
    }),
    command({
      name: "prepare",
      summary: "prepare a snapshot from a committed snapshot",
      usage: "[flags] <key> [<parent>]",
      flags: flags.snapshotsPrepare,
      load: async () => (await import("./snapshots.ts")).prepareSnapshot,
    }),
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "remove snapshots",
      usage: "<key> [<key>, ...]",
      load: async () => (await import("./snapshots.ts")).removeSnapshots,
    }),
    command({
      name: "label",
      summary: "add labels to content",
      usage: "<name> [<label>=<value> ...]",
      description: "labels snapshots in the snapshotter",
      load: async () => (await import("./snapshots-diff.ts")).labelSnapshot,
    }),
    command({
      name: "tree",
      summary: "display tree view of snapshot branches",
      load: async () => (await import("./snapshots.ts")).snapshotTree,
    }),
    command({
      name: "unpack",
      summary: "unpack applies layers from a manifest to a snapshot",
      usage: "[flags] <digest>",
      flags: flags.snapshotsUnpack,
      load: async () => (await import("./snapshots-unpack.ts")).unpackSnapshot,
    }),
    command({
      name: "usage",
      summary: "usage snapshots",
      usage: "[flags] [<key>, ...]",
      flags: flags.snapshotsUsage,
      load: async () => (await import("./snapshots.ts")).snapshotUsage,
    }),
    command({
      name: "view",
      summary: "create a read-only snapshot from a committed snapshot",
      usage: "[flags] <key> [<parent>]",
      flags: flags.snapshotsPrepare,
      load: async () => (await import("./snapshots.ts")).viewSnapshot,
    }),
  ],
};

const containers: Command = {
  name: "containers",
  aliases: ["c", "container"],
  summary: "manage containers",
  commands: [
    command({
      name: "create",
      summary: "create container",
      usage: "[flags] Image|RootFS CONTAINER [COMMAND] [ARG...]",
      stopAtArgument: true,
      flags: containerFlags,
      load: async () => (await import("./containers.ts")).create,
    }),
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "delete one or more existing containers",
      usage: "[flags] CONTAINER [CONTAINER, ...]",
      flags: flags.containersRemove,
      load: async () => (await import("./containers.ts")).remove,
    }),
    command({
      name: "info",
      summary: "get info about a container",
      usage: "CONTAINER",
      flags: flags.containersInfo,
      load: async () => (await import("./containers.ts")).info,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list containers",
      usage: "[flags] [<filter>, ...]",
      flags: flags.containersList,
      load: async () => (await import("./containers.ts")).list,
    }),
    command({
      name: "label",
      summary: "set and clear labels for a container",
      usage: "[flags] CONTAINER [<key>=<value>, ...]",
      description: "set and clear labels for a container",
      load: async () => (await import("./containers.ts")).label,
    }),
    command({
      name: "checkpoint",
      summary: "checkpoint a container",
      usage: "CONTAINER REF",
      flags: flags.containersCheckpoint,
      load: async () => (await import("./checkpoint.ts")).checkpointContainer,
    }),
    command({
      name: "restore",
      summary: "restore a container from checkpoint",
      usage: "CONTAINER REF",
      flags: flags.containersRestore,
      load: async () => (await import("./restore.ts")).restoreContainer,
    }),
  ],
};

const tasks: Command = {
  name: "tasks",
  aliases: ["t", "task"],
  summary: "manage tasks",
  commands: [
    command({
      name: "attach",
      summary: "attach to the IO of a running container",
      usage: "CONTAINER",
      load: async () => (await import("./tasks-run.ts")).attach,
    }),
    command({
      name: "checkpoint",
      summary: "checkpoint a container",
      usage: "[flags] CONTAINER",
      flags: flags.tasksCheckpoint,
      load: async () => (await import("./checkpoint.ts")).checkpointTask,
    }),
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "delete one or more tasks",
      usage: "CONTAINER [CONTAINER, ...]",
      flags: flags.tasksRemove,
      load: async () => (await import("./tasks.ts")).remove,
    }),
    command({
      name: "exec",
      summary: "execute additional processes in an existing container",
      usage: "[flags] CONTAINER CMD [ARG...]",
      stopAtArgument: true,
      flags: flags.tasksExec,
      load: async () => (await import("./tasks-run.ts")).exec,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list tasks",
      usage: "[flags]",
      flags: flags.tasksList,
      load: async () => (await import("./tasks.ts")).list,
    }),
    command({
      name: "kill",
      summary: "signal a container (default: SIGTERM)",
      usage: "[flags] CONTAINER",
      flags: flags.tasksKill,
      load: async () => (await import("./tasks.ts")).kill,
    }),
    command({
      name: "pause",
      summary: "pause an existing container",
      usage: "CONTAINER",
      load: async () => (await import("./tasks.ts")).pause,
    }),
    command({
      name: "ps",
      summary: "list processes for container",
      usage: "CONTAINER",
      load: async () => (await import("./tasks.ts")).ps,
    }),
    command({
      name: "resume",
      summary: "resume a paused container",
      usage: "CONTAINER",
      load: async () => (await import("./tasks.ts")).resume,
    }),
    command({
      name: "start",
      summary: "start a container that has been created",
      usage: "CONTAINER",
      flags: flags.tasksStart,
      load: async () => (await import("./tasks-run.ts")).start,
    }),
    command({
      name: "metrics",
      aliases: ["metric"],
      summary: "get a single data point of metrics for a task with the built-in Linux runtime",
      usage: "CONTAINER",
      flags: flags.tasksMetrics,
      load: async () => (await import("./tasks-metrics.ts")).metrics,
    }),
  ],
};

const leases: Command = {
  name: "leases",
  summary: "manage leases",
  commands: [
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list all active leases",
      usage: "[flags] <filter>",
      description: "list active leases by containerd",
      flags: flags.leasesList,
      load: async () => (await import("./leases.ts")).listLeases,
    }),
    command({
      name: "create",
      summary: "create lease",
      usage: "[flags] <label>=<value> ...",
      description: "create a new lease",
      flags: flags.leasesCreate,
      load: async () => (await import("./leases.ts")).createLease,
    }),
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "delete a lease",
      usage: "[flags] <lease id> ...",
      description: "delete a lease",
      flags: flags.leasesRemove,
      load: async () => (await import("./leases.ts")).removeLeases,
    }),
  ],
};

export const root: Command = {
  name: "ctr",
  summary: "containerd CLI",
  flags: globalFlags,
  commands: [
    plugins,
    command({
      name: "version",
      summary: "print the client and server versions",
      load: async () => (await import("./version.ts")).printVersion,
    }),
    containers,
    content,
    command({
      name: "events",
      aliases: ["event"],
      summary: "display containerd events",
      flags: flags.eventsFlags,
      load: async () => (await import("./events.ts")).watchEvents,
    }),
    images,
    leases,
    namespaces,
    more.pprof,
    command({
      name: "run",
      summary: "run a container",
      usage: "[flags] Image|RootFS ID [COMMAND] [ARG...]",
      stopAtArgument: true,
      flags: runFlags,
      load: async () => (await import("./tasks-run.ts")).run,
    }),
    snapshots,
    tasks,
    more.install,
    more.oci,
    more.deprecations,
    more.shim,
    more.sandboxes,
    command({
      name: "info",
      summary: "print the server's information",
      load: async () => (await import("./version.ts")).printInfo,
    }),
  ],
};
