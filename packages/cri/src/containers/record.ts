/** Containers as they stand in the metadata, in containerd's form (internal/cri/store/container/metadata.go). */

import { ContainerConfig } from "@hull/api/gen/cri/v1/cri";
import type { Container } from "@hull/engine/containers/index";
import { internal } from "@hull/errors";
import type { PodContainer } from "../model.ts";
import { extensionOf, goJson, metadataOf } from "../records/index.ts";

/** What of a container is in its record's extension. */
export type RecordedContainer = Omit<PodContainer, "status" | "user" | "mounts" | "place"> & {
  readonly imageName: string;
  readonly imageDigest: string;
};

export const containerExtension = (container: RecordedContainer) =>
  extensionOf("container", {
    ID: container.id,
    Name: container.name,
    SandboxID: container.podId,
    Config: goJson(container.config),
    ImageRef: container.imageId,
    LogPath: container.logPath,
    StopSignal: container.stopSignal,
    ProcessLabel: container.processLabel,
    ImageDigest: container.imageDigest,
    ImageName: container.imageName,
  });

/** @throws Internal for a record that isn't of the CRI's */
export function containerOfRecord(record: Pick<Container, "id" | "extensions">): RecordedContainer {
  const metadata = metadataOf("container", record);
  const text = (name: string): string => {
    const value = metadata[name] ?? "";
    if (typeof value !== "string")
      throw internal(`"${name}" in the metadata of container "${record.id}" is not a text`);
    return value;
  };
  return {
    id: text("ID"),
    name: text("Name"),
    podId: text("SandboxID"),
    config: ContainerConfig.fromPartial((metadata.Config ?? {}) as Partial<ContainerConfig>),
    imageId: text("ImageRef"),
    logPath: text("LogPath"),
    stopSignal: text("StopSignal"),
    processLabel: text("ProcessLabel"),
    imageDigest: text("ImageDigest"),
    imageName: text("ImageName"),
  };
}
