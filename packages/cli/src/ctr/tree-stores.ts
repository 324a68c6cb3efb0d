import { type Command, command } from "../command/index.ts";
import * as flags from "./flags.ts";
import { removeAliases } from "./tree.ts";
import * as parts from "./tree-image-parts.ts";
import * as more from "./tree-more.ts";

/** ctr's commands for what its daemon keeps: plugins, namespaces, content, leases. */

export const plugins: Command = {
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

export const namespaces: Command = {
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

export const content: Command = {
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
    parts.contentFetch,
    parts.contentFetchObject,
    parts.contentFetchBlob,
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
    parts.contentPushObject,
    more.contentLabel,
    more.contentPrune,
  ],
};

export const leases: Command = {
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
