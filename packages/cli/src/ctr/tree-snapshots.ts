import { type Command, command } from "../command/index.ts";
import * as flags from "./flags.ts";
import { snapshotsFlags } from "./globals.ts";
import { removeAliases } from "./tree.ts";

/** ctr's commands for snapshots. */

export const snapshots: Command = {
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
