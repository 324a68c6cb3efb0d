/** Containers as the CRI shows them. */

import {
  ContainerState,
  type ContainerStatus,
  type ImageSpec,
  Signal,
  type Container as WireContainer,
} from "@hull/api/gen/cri/v1/cri";
import { isCode } from "@hull/errors";
import type { ContainerRun, Images, PodContainer } from "../model.ts";
import { stopSignalOf } from "../spec/stop-signal.ts";

const states: Readonly<Record<ContainerRun["state"], ContainerState>> = {
  creating: ContainerState.CONTAINER_CREATED,
  created: ContainerState.CONTAINER_CREATED,
  running: ContainerState.CONTAINER_RUNNING,
  exited: ContainerState.CONTAINER_EXITED,
  unknown: ContainerState.CONTAINER_UNKNOWN,
};

/** As texts of errors name it. */
export const stateName = (state: ContainerRun["state"]): string =>
  state === "creating" ? "CONTAINER_CREATED" : `CONTAINER_${state.toUpperCase()}`;

export const wireState = (state: ContainerRun["state"]): ContainerState => states[state];

/** For lists, which look nothing up: the image is named by its id. */
export function toWireContainer({ id, podId, config, imageId, status }: PodContainer): WireContainer {
  const { metadata, image, labels, annotations } = config;
  return {
    id,
    podSandboxId: podId,
    metadata,
    image,
    imageRef: imageId,
    imageId,
    state: states[status.state],
    createdAt: status.createdAt,
    labels,
    annotations,
  };
}

/** As `ContainerStatus` has it: the image by the names that it has now. */
export async function toWireStatus(container: PodContainer, images: Images): Promise<ContainerStatus> {
  const { id, config, imageId, logPath, mounts, user, status } = container;
  const { state, createdAt, startedAt, finishedAt, exitCode, message, resources } = status;
  const { image, imageRef } = await namesOf(container, images);
  const over = state === "exited" || state === "unknown";
  return {
    id,
    metadata: config.metadata,
    state: states[state],
    createdAt,
    startedAt: over || state === "running" ? startedAt : 0n,
    finishedAt: over ? finishedAt : 0n,
    exitCode,
    image,
    imageRef,
    imageId,
    reason: reasonOf(status),
    message,
    labels: config.labels,
    annotations: config.annotations,
    mounts: [...mounts],
    logPath,
    resources: resources === undefined ? undefined : { linux: resources, windows: undefined },
    user: { linux: user },
    stopSignal: stopSignalShown(container),
  };
}

async function namesOf(
  { imageId, config }: PodContainer,
  images: Images,
): Promise<{ image: ImageSpec | undefined; imageRef: string }> {
  try {
    const { tags, digests } = await images.get(imageId);
    const [tag] = tags;
    const image = tag === undefined ? config.image : imageNamed(tag);
    return { image, imageRef: digests[0] ?? imageId };
  } catch (error) {
    // It may have been removed; the container goes on.
    if (!isCode(error, "notFound")) throw error;
    return { image: config.image, imageRef: imageId };
  }
}

const imageNamed = (image: string): ImageSpec => ({
  image,
  annotations: {},
  userSpecifiedImage: "",
  runtimeHandler: "",
  imageRef: "",
});

function reasonOf({ state, reason, exitCode }: ContainerRun): string {
  if (state !== "exited" || reason !== "") return reason;
  return exitCode === 0 ? "Completed" : "Error";
}

function stopSignalShown({ config, stopSignal }: PodContainer): Signal {
  if (config.stopSignal !== Signal.SIGNAL_RUNTIME_DEFAULT) return config.stopSignal;
  return stopSignal === "" ? Signal.SIGNAL_SIGTERM : stopSignalOf(stopSignal);
}
