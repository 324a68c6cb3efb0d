import { readlinkSync } from "node:fs";
import {
  type DeprecationWarning,
  IntrospectionDefinition,
  type Plugin as WirePlugin,
} from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { RuntimeRequest } from "@hull/api/gen/containerd/types/introspection";
import type { Platform as WirePlatform } from "@hull/api/gen/containerd/types/platform";
import type { Status } from "@hull/api/gen/google/rpc/status";
import { toWireStatus } from "@hull/api/status";
import { timestampOfNanos } from "@hull/api/timestamp";
import { decodeAny } from "@hull/api/typeurl";
import type { TypedBytes } from "@hull/engine/labels";
import { compileFilters } from "@hull/engine/metadata/filters/index";
import type { PluginRecord } from "@hull/engine/plugin/graph";
import { pluginTypes } from "@hull/engine/plugin/types";
import type { Warning } from "@hull/engine/warnings/index";
import { failedPrecondition, notFound, unimplemented } from "@hull/errors";
import { type Service, service } from "../server/service.ts";

/** How containerd's clients tell a skipped plugin from a failed one: by this at the end of its error. */
const skipped = "skip plugin";

/** What the service tells of. */
export interface IntrospectionParts {
  /** The daemon's, for as long as its root lives. */
  uuid: string;
  plugins(): readonly PluginRecord[];
  warnings(): readonly Warning[];
  /** What a runtime, by its name or path, says of itself. */
  runtimeInfo(runtime: string, options: TypedBytes | undefined): Promise<TypedBytes>;
}

export const introspectionService = ({ uuid, plugins, warnings, runtimeInfo }: IntrospectionParts): Service =>
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
      return { uuid, pid: BigInt(process.pid), pidns: pidNamespace(), deprecations: warnings().map(toWireWarning) };
    },
    async pluginInfo({ type, id, options }) {
      const plugin = plugins().find((candidate) => candidate.type === type && candidate.id === id);
      if (plugin === undefined) throw notFound(`plugin ${type}.${id} not found`);
      const shown = toWirePlugin(plugin);
      if (options === undefined) return { plugin: shown };
      if (plugin.status.kind !== "ok") throw failedPrecondition(`plugin "${type}.${id}" is not running`);
      if (type !== pluginTypes.runtime) throw unimplemented(`plugin "${type}.${id}" has no information to give`);
      const request = decodeAny(options, "containerd.types.RuntimeRequest", RuntimeRequest);
      return { plugin: shown, extra: await runtimeInfo(request.runtimePath, request.options) };
    },
  });

const toWireWarning = ({ id, message, lastOccurrence }: Warning): DeprecationWarning => ({
  id,
  message,
  lastOccurrence: timestampOfNanos(lastOccurrence),
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
