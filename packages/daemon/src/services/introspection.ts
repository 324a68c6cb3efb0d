import { readlinkSync } from "node:fs";
import {
  IntrospectionDefinition,
  type Plugin as WirePlugin,
} from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import type { Platform as WirePlatform } from "@hull/api/gen/containerd/types/platform";
import type { Status } from "@hull/api/gen/google/rpc/status";
import { toWireStatus } from "@hull/api/status";
import { compileFilters } from "@hull/engine/metadata/filters/index";
import type { PluginRecord } from "@hull/engine/plugin/graph";
import { failedPrecondition, notFound, unimplemented } from "@hull/errors";
import { type Service, service } from "../server/service.ts";

/** How containerd's clients tell a skipped plugin from a failed one: by this at the end of its error. */
const skipped = "skip plugin";

export const introspectionService = (uuid: string, plugins: () => readonly PluginRecord[]): Service =>
  service(IntrospectionDefinition, {
    async plugins({ filters }) {
      const matches = compileFilters<PluginRecord>(filters, ({ type, id }, [field]) => {
        if (field === "type") return type;
        return field === "id" ? id : undefined;
      });
      const shown = plugins().filter(({ status }) => status.kind !== "disabled");
      return { plugins: shown.filter(matches).map(toWirePlugin) };
    },
    async server() {
      return { uuid, pid: BigInt(process.pid), pidns: pidNamespace(), deprecations: [] };
    },
    async pluginInfo({ type, id }) {
      const plugin = plugins().find((candidate) => candidate.type === type && candidate.id === id);
      if (plugin === undefined) throw notFound(`plugin "${type}.${id}"`);
      if (plugin.status.kind !== "ok") throw failedPrecondition(`plugin "${type}.${id}" is not running`);
      throw unimplemented(`plugin "${type}.${id}" has no information to give`);
    },
  });

/** Inode of the pid namespace, which tells whether a client's pids are the daemon's. */
function pidNamespace(): bigint {
  return BigInt(/\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? 0);
}

function toWirePlugin({ type, id, requires, platforms, exports, capabilities, status }: PluginRecord): WirePlugin {
  return {
    type,
    id,
    requires: [...requires],
    platforms: platforms.map(toWirePlatform),
    exports: { ...exports },
    capabilities: [...capabilities],
    initErr: toInitError(status),
  };
}

function toInitError(status: PluginRecord["status"]): Status | undefined {
  switch (status.kind) {
    case "ok":
    case "disabled":
      return undefined;
    case "skipped":
      return { code: 2, message: `${status.reason}: ${skipped}`, details: [] };
    case "failed":
      return { ...toWireStatus(status.error), details: [] };
  }
}

/** Of `linux/arm/v7`. */
function toWirePlatform(platform: string): WirePlatform {
  const [os = "", architecture = "", variant = ""] = platform.split("/");
  return { os, architecture, variant, osVersion: "", osFeatures: [] };
}
