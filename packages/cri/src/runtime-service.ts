import {
  ListContainersResponse,
  ListPodSandboxResponse,
  type RuntimeServiceDefinition,
} from "@hull/api/gen/cri/v1/cri";
import type { ServiceImplementation } from "@hull/api/rpc";
import { restWhenIdle } from "@hull/engine/rest";
import { unimplemented, unknown } from "@hull/errors";
import type { Containers } from "./containers/index.ts";
import { toWireContainer } from "./containers/wire.ts";
import { EncodedList } from "./encoded-list.ts";
import type { ContainerEvents } from "./events/index.ts";
import type { Pod, PodContainer } from "./model.ts";
import type { PodNetworkManager } from "./network/index.ts";
import type { Pods } from "./pods/index.ts";
import { listedPod } from "./pods/status.ts";
import type { Stats } from "./stats/index.ts";
import { statsMethods } from "./stats/service.ts";
import { runtimeConfigOf, type StatusOptions, statusOf, versionOf } from "./status.ts";
import type { PodContainerStore, PodStore } from "./stores/index.ts";
import type { ExecOptions } from "./streaming/exec.ts";
import { execSync } from "./streaming/exec-sync.ts";
import { requireRunning } from "./streaming/host.ts";
import type { StreamingServer } from "./streaming/index.ts";
import { within } from "./wrap.ts";

/** What serves the RuntimeService. */
export interface RuntimeParts {
  readonly status: StatusOptions;
  readonly pods: Pods;
  readonly containers: Containers;
  readonly podStore: PodStore;
  readonly containerStore: PodContainerStore;
  readonly networks: PodNetworkManager;
  readonly streaming: StreamingServer;
  readonly exec: ExecOptions;
  readonly stats: Stats;
  readonly events: ContainerEvents;
}

/**
 * Kubernetes' RuntimeService: translates, and does nothing else. The kubelet's one connection stays, so it is what makes and ends pods and
 * containers that counts as work; what it asks every second doesn't.
 */
export const runtimeService = (parts: RuntimeParts): ServiceImplementation<RuntimeServiceDefinition> => {
  const { pods, containers, podStore, containerStore, streaming } = parts;
  const running = (id: string, what: string): string => {
    const container = containerStore.get(id, what);
    requireRunning(container);
    return container.id;
  };
  const podList = new EncodedList<Pod, typeof ListPodSandboxResponse>({
    codec: ListPodSandboxResponse,
    message: (pod) => ({ items: [listedPod(pod)] }),
    version: ({ state }) => state,
  });
  const containerList = new EncodedList<PodContainer, typeof ListContainersResponse>({
    codec: ListContainersResponse,
    message: (container) => ({ containers: [toWireContainer(container)] }),
    version: ({ status }) => status,
  });
  return {
    version: async () => versionOf(),
    status: async ({ verbose }) => await statusOf(parts.status, verbose),
    runtimeConfig: async () => runtimeConfigOf(parts.status.handlers),
    async updateRuntimeConfig({ runtimeConfig }) {
      const cidr = runtimeConfig?.networkConfig?.podCidr ?? "";
      if (cidr !== "") await parts.networks.configure(cidr);
      return {};
    },

    async runPodSandbox(request, { signal }) {
      restWhenIdle();
      return { podSandboxId: await pods.run(request, signal) };
    },
    async stopPodSandbox({ podSandboxId }, { signal }) {
      await pods.stop(podSandboxId, signal);
      return {};
    },
    async removePodSandbox({ podSandboxId }, { signal }) {
      restWhenIdle();
      await pods.remove(podSandboxId, signal);
      return {};
    },
    podSandboxStatus: async ({ podSandboxId, verbose }) => await pods.status(podSandboxId, verbose),
    async listPodSandbox({ filter }) {
      return await podList.answer(pods.matching(filter));
    },
    async *streamPodSandboxes({ filter }) {
      for (const pod of pods.list(filter)) yield { podSandboxes: [pod] };
    },
    async updatePodSandboxResources({ podSandboxId, overhead, resources }) {
      await pods.update(podSandboxId, overhead, resources);
      return {};
    },

    async createContainer(request) {
      return { containerId: await containers.create(request) };
    },
    async startContainer({ containerId }) {
      restWhenIdle();
      await containers.start(containerId);
      return {};
    },
    async stopContainer({ containerId, timeout }, { signal }) {
      await containers.stop(containerId, Number(timeout) * 1000, signal);
      return {};
    },
    async removeContainer({ containerId }) {
      restWhenIdle();
      await containers.remove(containerId);
      return {};
    },
    async listContainers({ filter }) {
      return await containerList.answer(containers.matching(filter));
    },
    async *streamContainers({ filter }) {
      for (const container of containers.list(filter)) yield { containers: [container] };
    },
    async containerStatus({ containerId, verbose }) {
      const status = await containers.status(containerId);
      return { status, info: verbose ? { info: await containers.info(containerId) } : {} };
    },
    async updateContainerResources({ containerId, linux }) {
      await containers.updateResources(containerId, linux);
      return {};
    },
    async reopenContainerLog({ containerId }) {
      await containers.reopenLog(containerId);
      return {};
    },
    async checkpointContainer(request) {
      await containers.checkpoint(request);
      return {};
    },
    async checkpointPod() {
      throw unimplemented("method CheckpointPod not implemented");
    },
    async restorePod() {
      throw unimplemented("method RestorePod not implemented");
    },

    async execSync(request, { signal }) {
      const id = within("failed to exec in container", () =>
        running(request.containerId, `failed to find container ${JSON.stringify(request.containerId)} in store`),
      );
      return await execSync(parts.exec, id, request, signal);
    },
    async exec(request) {
      const containerId = running(
        request.containerId,
        `failed to find container ${JSON.stringify(request.containerId)} in store`,
      );
      return streaming.execUrl({ ...request, containerId });
    },
    async attach(request) {
      const containerId = running(request.containerId, "failed to find container in store");
      return streaming.attachUrl({ ...request, containerId });
    },
    async portForward(request) {
      const { podSandboxId: id } = request;
      const pod = podStore.get(id, `failed to find sandbox ${JSON.stringify(id)}`);
      if (pod.state !== "ready") throw unknown("sandbox container is not running");
      return streaming.portForwardUrl({ ...request, podSandboxId: pod.id });
    },

    async *getContainerEvents(_, { signal }) {
      yield* parts.events.subscribe(signal);
    },
    ...statsMethods(parts.stats),
  };
};
