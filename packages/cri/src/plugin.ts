import { definePlugin } from "@hull/engine/plugin/index";
import { pluginTypes } from "@hull/engine/plugin/types";
import {
  type CriConfig,
  type CriImagesConfig,
  type CriRuntimeConfig,
  grpcTable,
  imagesTable,
  runtimeTable,
} from "./config.ts";
import type { CriServices } from "./services.ts";

/** Type of the plugins that hold the CRI's tables of the configuration; its service is one of the gRPC services. */
const criType = "io.containerd.cri.v1";

export const criImagesPlugin = definePlugin({
  type: criType,
  id: "images",
  config: imagesTable,
  start: ({ config }): CriImagesConfig => config,
});

export const criRuntimePlugin = definePlugin({
  type: criType,
  id: "runtime",
  config: runtimeTable,
  start: ({ config }): CriRuntimeConfig => config,
});

/** Kubernetes' services. Without this plugin nothing of them is loaded. */
export const criPlugin = definePlugin({
  type: pluginTypes.grpc,
  id: "cri",
  requires: [
    criType,
    pluginTypes.event,
    pluginTypes.internal,
    pluginTypes.lease,
    pluginTypes.nri,
    pluginTypes.runtime,
    pluginTypes.sandboxController,
    pluginTypes.sandboxStore,
    pluginTypes.service,
    pluginTypes.snapshotter,
    pluginTypes.transfer,
    pluginTypes.warning,
  ],
  config: grpcTable,
  start: async (init): Promise<CriServices> => {
    const config: CriConfig = {
      images: init.get(criType, "images"),
      runtime: init.get(criType, "runtime"),
      grpc: init.config,
    };
    const { criServices } = await import("./services.ts");
    return criServices(init, config);
  },
});

export const criPlugins = [criImagesPlugin, criRuntimePlugin, criPlugin] as const;
