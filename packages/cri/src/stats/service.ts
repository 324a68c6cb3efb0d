import {
  ListPodSandboxMetricsResponse,
  ListPodSandboxStatsResponse,
  type RuntimeServiceDefinition,
} from "@hull/api/gen/cri/v1/cri";
import type { ServiceImplementation } from "@hull/api/rpc";
import { encodedInSteps, pagesOf } from "@hull/api/steps";
import { encodedStats } from "./encode.ts";
import type { Stats } from "./index.ts";

type Methods = ServiceImplementation<typeof RuntimeServiceDefinition>;

/** Pods in a step of encoding: each has hundreds of metrics. */
const fewPods = 4;

/** The methods of the RuntimeService that tell what is used. */
export const statsMethods = (stats: Stats) =>
  ({
    async containerStats({ containerId }) {
      return { stats: await stats.containerStats(containerId) };
    },
    async listContainerStats({ filter }) {
      return await encodedStats(await stats.listContainerStats(filter));
    },
    async *streamContainerStats({ filter }) {
      for (const containerStats of pagesOf(await stats.listContainerStats(filter))) yield { containerStats };
    },
    async podSandboxStats({ podSandboxId }) {
      return { stats: await stats.podStats(podSandboxId) };
    },
    async listPodSandboxStats({ filter }) {
      const pages = pagesOf(await stats.listPodStats(filter));
      return await encodedInSteps(
        ListPodSandboxStatsResponse,
        pages.map((page) => ({ stats: page })),
      );
    },
    async *streamPodSandboxStats({ filter }) {
      for (const podSandboxStats of pagesOf(await stats.listPodStats(filter))) yield { podSandboxStats };
    },
    async listMetricDescriptors() {
      return { descriptors: [...stats.metricDescriptors()] };
    },
    async listPodSandboxMetrics() {
      const pages = pagesOf(await stats.podMetrics(), fewPods);
      return await encodedInSteps(
        ListPodSandboxMetricsResponse,
        pages.map((page) => ({ podMetrics: page })),
      );
    },
    async *streamPodSandboxMetrics() {
      for (const podSandboxMetrics of pagesOf(await stats.podMetrics(), fewPods)) yield { podSandboxMetrics };
    },
  }) satisfies Partial<Methods>;
