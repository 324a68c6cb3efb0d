/** A plugin's side of NRI, for the tests. */
import {
  type ContainerUpdate,
  CreateContainerResponse,
  PluginDefinition,
  RuntimeDefinition,
  type UpdateContainersResponse,
} from "@hull/api/gen/nri/v1alpha1/nri";
import type { ServiceImplementation } from "@hull/api/rpc";
import type { ByteLink } from "@hull/link";
import { TtrpcConnection, ttrpcClient } from "@hull/ttrpc/client";
import { TtrpcServer } from "@hull/ttrpc/server";
import { channels, Mux } from "./mux.ts";

export type PluginImplementation = ServiceImplementation<PluginDefinition>;

/** A plugin's side of its connection. */
export interface ConnectedPlugin {
  /** Asks for updates of containers at any time. */
  update(updates: ContainerUpdate[]): Promise<UpdateContainersResponse>;
  readonly closed: Promise<void>;
  close(): void;
}

/** Registers a plugin over a connection and serves its calls. */
export async function servePlugin(
  link: ByteLink,
  { index, name }: { index: string; name: string },
  implementation: PluginImplementation,
): Promise<ConnectedPlugin> {
  const mux = new Mux(link);
  new TtrpcServer().register(PluginDefinition, implementation).accept(mux.open(channels.plugin));
  const connection = new TtrpcConnection(mux.open(channels.runtime));
  mux.start();
  const runtime = ttrpcClient(RuntimeDefinition, connection);
  await runtime.registerPlugin({ pluginName: name, pluginIdx: index, NRIVersion: "" });
  return {
    update: (update) => runtime.updateContainers({ update, evict: [] }),
    closed: connection.closed,
    close: () => mux.close(),
  };
}

/** A plugin that does nothing, for those parts that one doesn't have. */
export const idle: PluginImplementation = {
  configure: async () => ({ events: 0 }),
  synchronize: async ({ more }) => ({ update: [], more }),
  shutdown: async () => ({}),
  runPodSandbox: async () => ({}),
  updatePodSandbox: async () => ({}),
  postUpdatePodSandbox: async () => ({}),
  stopPodSandbox: async () => ({}),
  removePodSandbox: async () => ({}),
  createContainer: async () => CreateContainerResponse.fromPartial({}),
  postCreateContainer: async () => ({}),
  startContainer: async () => ({}),
  postStartContainer: async () => ({}),
  updateContainer: async () => ({ update: [], evict: [] }),
  postUpdateContainer: async () => ({}),
  stopContainer: async () => ({ update: [] }),
  removeContainer: async () => ({}),
  stateChange: async () => ({}),
  validateContainerAdjustment: async () => ({ reject: false, reason: "" }),
};
