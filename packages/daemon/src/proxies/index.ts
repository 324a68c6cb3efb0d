/**
 * Plugins that other processes serve: the tables `[proxy_plugins.<name>]` of the configuration.
 *
 * A name becomes the id of a plugin of the type, which clients choose as any other (`--snapshotter <name>`). The process is called on
 * its socket over containerd's own API. It need not be there when the daemon starts, nor stay: a call that doesn't reach it fails.
 */

import { LocalContentStore } from "@hull/engine/content/store";
import type { EventExchange } from "@hull/engine/events/index";
import { collectorLater } from "@hull/engine/gc/later";
import type { MetadataInstance } from "@hull/engine/metadata/plugin";
import { configTable, isTable, oneOf, table, text, texts } from "@hull/engine/plugin/config";
import type { AnyPlugin } from "@hull/engine/plugin/graph";
import { definePlugin } from "@hull/engine/plugin/index";
import { hostPlatform } from "@hull/engine/plugin/platform";
import { pluginTypes } from "@hull/engine/plugin/types";
import { invalidArgument } from "@hull/errors";
import { ProxyBlobs, ProxyIngests } from "./content.ts";
import { ProxyDiffer } from "./differ.ts";
import { Link } from "./link.ts";
import { ProxySandboxController } from "./sandbox-controller.ts";
import { ProxySnapshotter } from "./snapshotter.ts";

const keys = configTable({
  type: oneOf(["snapshot", "content", "diff", "sandbox"], "snapshot", "What the process serves"),
  address: text("", "Its unix socket, or tcp://host:port"),
  platform: text("", "What introspection shows as its platform; empty: the host's"),
  exports: table("What introspection shows of it, such as root"),
  capabilities: texts([], "What it can do beyond the rest"),
});

type Settings = ReturnType<(typeof keys)["parse"]>;

/** The plugins that the configuration's table `proxy_plugins` declares. @throws InvalidArgument that names the entry and key */
export function proxyPlugins(configured: Readonly<Record<string, unknown>>): AnyPlugin[] {
  return Object.entries(configured).map(([id, value]) => {
    const where = `table [proxy_plugins.${JSON.stringify(id)}]`;
    if (!isTable(value)) throw invalidArgument(`${where} must be a table, not ${JSON.stringify(value)}`);
    if (typeof value.type !== "string") throw invalidArgument(`${where}: key "type" is missing`);
    const settings = keys.parse(value);
    if (settings.address === "") throw invalidArgument(`${where}: key "address" is missing`);
    return declare(id, settings);
  });
}

function declare(id: string, settings: Settings): AnyPlugin {
  const show = (meta: { exports: Record<string, string>; capabilities: string[]; platforms: string[] }) => {
    meta.exports.address = settings.address;
    for (const [name, value] of Object.entries(settings.exports)) meta.exports[name] = String(value);
    meta.capabilities.push(...settings.capabilities);
    meta.platforms.push(settings.platform === "" ? hostPlatform : settings.platform);
  };
  switch (settings.type) {
    case "snapshot":
      return definePlugin({
        type: pluginTypes.snapshotter,
        id,
        requires: [pluginTypes.metadata, pluginTypes.event],
        start: (init) => {
          show(init.meta);
          const link = new Link(settings.address);
          init.onStop(() => link[Symbol.asyncDispose]());
          return new ProxySnapshotter(id, link, settings.capabilities, {
            metadata: init.get<MetadataInstance>(pluginTypes.metadata).metadata,
            events: init.get<EventExchange>(pluginTypes.event),
            root: init.root,
            changed: collectorLater(init).changed,
          });
        },
      });
    case "diff":
      return definePlugin({
        type: pluginTypes.differ,
        id,
        start: (init) => {
          show(init.meta);
          const link = new Link(settings.address);
          init.onStop(() => link[Symbol.asyncDispose]());
          return new ProxyDiffer(link);
        },
      });
    case "sandbox":
      return definePlugin({
        type: pluginTypes.sandboxController,
        id,
        start: (init) => {
          show(init.meta);
          const link = new Link(settings.address);
          init.onStop(() => link[Symbol.asyncDispose]());
          return new ProxySandboxController(id, link);
        },
      });
    default:
      return definePlugin({
        type: pluginTypes.content,
        id,
        requires: [pluginTypes.metadata, pluginTypes.event],
        start: (init) => {
          show(init.meta);
          const link = new Link(settings.address);
          init.onStop(() => link[Symbol.asyncDispose]());
          const blobs = new ProxyBlobs(link, init.root);
          const { metadata, contentSharing } = init.get<MetadataInstance>(pluginTypes.metadata);
          return new LocalContentStore({
            metadata,
            events: init.get<EventExchange>(pluginTypes.event),
            root: { blobs, ingests: new ProxyIngests(link, blobs) },
            sharing: contentSharing,
            changed: collectorLater(init).changed,
          });
        },
      });
  }
}
