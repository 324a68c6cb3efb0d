/** What the runtime is and can, as the kubelet asks it. */

import { existsSync } from "node:fs";
import {
  CgroupDriver,
  type RuntimeCondition,
  type RuntimeConfigResponse,
  type StatusResponse,
  type VersionResponse,
  RuntimeHandler as WireHandler,
} from "@hull/api/gen/cri/v1/cri";
import { releaseOf } from "@hull/api/release";
import type { Warnings } from "@hull/engine/warnings/index";
import { cgroupMode } from "@hull/sys/cgroup";
import manifest from "../package.json" with { type: "json" };
import type { CriConfig } from "./config.ts";
import type { RuntimeFeatures } from "./features.ts";
import type { RuntimeHandler, RuntimeHandlers } from "./handlers.ts";
import type { PodNetworkManager } from "./network/index.ts";

/** Version of what the CRI's answers say they are of. */
export const daemonVersion: string = manifest.version;

/** What the status is made of. */
export interface StatusOptions {
  readonly config: CriConfig;
  readonly handlers: RuntimeHandlers;
  readonly features: RuntimeFeatures;
  readonly networks: PodNetworkManager;
  readonly warnings: Pick<Warnings, "list">;
}

/** The kubelet's own protocol version is the first; clients know a runtime by its name. */
export const versionOf = (): VersionResponse => ({
  version: "0.1.0",
  runtimeName: "containerd",
  runtimeVersion: releaseOf(daemonVersion),
  runtimeApiVersion: "v1",
});

/** Who makes the control groups of pods. */
export function runtimeConfigOf(handlers: RuntimeHandlers): RuntimeConfigResponse {
  return { linux: { cgroupDriver: usesSystemd(handlers) ? CgroupDriver.SYSTEMD : CgroupDriver.CGROUPFS } };
}

function usesSystemd(handlers: RuntimeHandlers): boolean {
  const runtime = handlers.list().find(({ name }) => name === handlers.defaultName);
  if (runtime?.own === true) return runtime.systemdCgroup;
  // As systemd itself says that it runs (sd_booted(3)).
  return cgroupMode() === "v2" && existsSync("/run/systemd/system");
}

/** @throws nothing that a client could mend */
export async function statusOf(options: StatusOptions, verbose: boolean): Promise<StatusResponse> {
  const { networks, warnings, config } = options;
  const unready = await networks.ready();
  return {
    status: {
      conditions: [
        { type: "RuntimeReady", status: true, reason: "", message: "" },
        unready === undefined
          ? { type: "NetworkReady", status: true, reason: "", message: "" }
          : {
              type: "NetworkReady",
              status: false,
              reason: "NetworkPluginNotReady",
              message: `Network plugin returns error: ${unready}`,
            },
        deprecationsOf(warnings, config.runtime.ignore_deprecation_warnings),
      ],
    },
    info: verbose ? infoOf(options) : {},
    runtimeHandlers: await handlersOf(options),
    features: { supplementalGroupsPolicy: true, userNamespacesHostNetwork: true, mountOptions: true },
  };
}

function deprecationsOf(warnings: Pick<Warnings, "list">, ignored: readonly string[]): RuntimeCondition {
  const met = warnings.list().filter(({ id }) => !ignored.includes(id));
  const type = "ContainerdHasNoDeprecationWarnings";
  if (met.length === 0) return { type, status: true, reason: "", message: "" };
  const message = JSON.stringify(Object.fromEntries(met.map(({ id, message }) => [id, message])));
  return { type, status: false, reason: "ContainerdHasDeprecationWarnings", message };
}

/** The default one a second time, without a name. */
async function handlersOf({ handlers, features }: StatusOptions): Promise<WireHandler[]> {
  const wire = async (name: string, handler: RuntimeHandler): Promise<WireHandler> =>
    WireHandler.fromPartial({ name, features: await features.of(handler) });
  const all = handlers.list().map((handler) => wire(handler.name, handler));
  const ordinary = handlers.list().find(({ name }) => name === handlers.defaultName);
  if (ordinary !== undefined) all.push(wire("", ordinary));
  return (await Promise.all(all)).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Keys as containerd's, but for what there is of Go. */
function infoOf({ config, networks }: StatusOptions): Record<string, string> {
  const { default: common = "OK", ...handlers } = networks.loadStatus();
  const loads = Object.entries({ default: common, ...handlers }).map(([name, status]) => [
    `lastCNILoadStatus.${name}`,
    status,
  ]);
  return {
    config: JSON.stringify({ ...config.images, ...config.runtime, ...config.grpc }),
    cniconfig: JSON.stringify(networks.describe()),
    lastCNILoadStatus: common,
    ...Object.fromEntries(loads),
  };
}
