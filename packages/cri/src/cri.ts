import type { ImageServiceDefinition, RuntimeServiceDefinition } from "@hull/api/gen/cri/v1/cri";
import type { ServiceImplementation } from "@hull/api/rpc";
import type { PluginInit } from "@hull/engine/plugin/index";
import type { CriConfig, CriGrpcConfig } from "./config.ts";

/** What serves Kubernetes. */
export interface Cri {
  readonly runtime: ServiceImplementation<RuntimeServiceDefinition>;
  readonly images: ServiceImplementation<ImageServiceDefinition>;
}

export async function startCri(_init: PluginInit<CriGrpcConfig>, _config: CriConfig): Promise<Cri> {
  return {
    runtime: {
      version: async () => ({
        version: "0.1.0",
        runtimeName: "containerd",
        runtimeVersion: "x",
        runtimeApiVersion: "v1",
      }),
    },
    images: {},
  };
}
