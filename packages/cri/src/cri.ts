import type { ImageServiceDefinition, RuntimeServiceDefinition } from "@hull/api/gen/cri/v1/cri";
import type { ServiceImplementation } from "@hull/api/rpc";
import type { PluginInit } from "@hull/engine/plugin/index";
import type { CriConfig, CriGrpcConfig } from "./config.ts";
import { imageService } from "./images/index.ts";
import { startImages } from "./images/start.ts";

/** What serves Kubernetes. */
export interface Cri {
  readonly runtime: ServiceImplementation<RuntimeServiceDefinition>;
  readonly images: ServiceImplementation<ImageServiceDefinition>;
}

export async function startCri(init: PluginInit<CriGrpcConfig>, config: CriConfig): Promise<Cri> {
  const images = await startImages(init, config);
  return {
    runtime: {
      version: async () => ({
        version: "0.1.0",
        runtimeName: "containerd",
        runtimeVersion: "x",
        runtimeApiVersion: "v1",
      }),
    },
    images: imageService(images, init.log),
  };
}
