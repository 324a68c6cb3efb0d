/**
 * What every method of every service does, for sockets that don't let everything through. A method that isn't here counts as one that
 * writes; a test fails for it.
 */

/** Whether a method changes anything, or has something run. */
export type Effect = "read" | "write";

/** How a call says which namespace it is about. */
export type Scope =
  /** By its metadata, as most do. */
  | "metadata"
  /** It is about the daemon. */
  | "none"
  /** By what is in its request or answers. */
  | "message"
  /** It is CRI's, whose namespace is always the same. */
  | "cri";

export interface ServiceRules {
  readonly scope: Scope;
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** The namespace of everything that the kubelet makes. */
export const criNamespace = "k8s.io";

export const serviceRules: Readonly<Record<string, ServiceRules>> = {
  "grpc.health.v1.Health": { scope: "none", read: ["Check", "List", "Watch"], write: [] },
  "containerd.services.version.v1.Version": { scope: "none", read: ["Version"], write: [] },
  "containerd.services.introspection.v1.Introspection": {
    scope: "none",
    read: ["Plugins", "Server", "PluginInfo"],
    write: [],
  },
  "containerd.services.namespaces.v1.Namespaces": {
    scope: "message",
    read: ["Get", "List"],
    write: ["Create", "Update", "Delete"],
  },
  "containerd.services.events.v1.Events": { scope: "message", read: ["Subscribe"], write: ["Publish", "Forward"] },
  "containerd.services.containers.v1.Containers": {
    scope: "metadata",
    read: ["Get", "List", "ListStream"],
    write: ["Create", "Update", "Delete"],
  },
  "containerd.services.images.v1.Images": {
    scope: "metadata",
    read: ["Get", "List"],
    write: ["Create", "Update", "Delete"],
  },
  "containerd.services.content.v1.Content": {
    scope: "metadata",
    read: ["Info", "List", "Read", "Status", "ListStatuses"],
    write: ["Update", "Delete", "Write", "Abort"],
  },
  "containerd.services.snapshots.v1.Snapshots": {
    scope: "metadata",
    read: ["Mounts", "Stat", "List", "Usage"],
    write: ["Prepare", "View", "Commit", "Remove", "Update", "Cleanup"],
  },
  "containerd.services.leases.v1.Leases": {
    scope: "metadata",
    read: ["List", "ListResources"],
    write: ["Create", "Delete", "AddResource", "DeleteResource"],
  },
  "containerd.services.tasks.v1.Tasks": {
    scope: "metadata",
    read: ["Get", "List", "ListPids", "Metrics", "Wait"],
    write: [
      "Create",
      "Start",
      "Delete",
      "DeleteProcess",
      "Kill",
      "Exec",
      "ResizePty",
      "CloseIO",
      "Pause",
      "Resume",
      "Checkpoint",
      "Update",
    ],
  },
  "containerd.services.sandbox.v1.Store": {
    scope: "metadata",
    read: ["List", "Get"],
    write: ["Create", "Update", "Delete"],
  },
  "containerd.services.sandbox.v1.Controller": {
    scope: "metadata",
    read: ["Platform", "Wait", "Status", "Metrics"],
    write: ["Create", "Start", "Stop", "Shutdown", "Update"],
  },
  "containerd.services.mounts.v1.Mounts": {
    scope: "metadata",
    read: ["Info", "List"],
    write: ["Activate", "Deactivate", "Update"],
  },
  // Both put what they make into the content store or a file system.
  "containerd.services.diff.v1.Diff": { scope: "metadata", read: [], write: ["Apply", "Diff"] },
  "containerd.services.transfer.v1.Transfer": { scope: "metadata", read: [], write: ["Transfer"] },
  // A stream is of use to a transfer alone.
  "containerd.services.streaming.v1.Streaming": { scope: "metadata", read: [], write: ["Stream"] },
  "runtime.v1.RuntimeService": {
    scope: "cri",
    read: [
      "Version",
      "PodSandboxStatus",
      "ListPodSandbox",
      "StreamPodSandboxes",
      "ListContainers",
      "StreamContainers",
      "ContainerStatus",
      "ContainerStats",
      "ListContainerStats",
      "StreamContainerStats",
      "PodSandboxStats",
      "ListPodSandboxStats",
      "StreamPodSandboxStats",
      "Status",
      "GetContainerEvents",
      "ListMetricDescriptors",
      "ListPodSandboxMetrics",
      "StreamPodSandboxMetrics",
      "RuntimeConfig",
    ],
    write: [
      "RunPodSandbox",
      "StopPodSandbox",
      "RemovePodSandbox",
      "CreateContainer",
      "StartContainer",
      "StopContainer",
      "RemoveContainer",
      "UpdateContainerResources",
      "ReopenContainerLog",
      "ExecSync",
      "Exec",
      "Attach",
      "PortForward",
      "UpdateRuntimeConfig",
      "CheckpointContainer",
      "CheckpointPod",
      "RestorePod",
      "UpdatePodSandboxResources",
    ],
  },
  "runtime.v1.ImageService": {
    scope: "cri",
    read: ["ListImages", "StreamImages", "ImageStatus", "ImageFsInfo"],
    write: ["PullImage", "RemoveImage"],
  },
};

/** What a method does: unless it is known to read, it writes. */
export function effectOf(service: string, method: string): Effect {
  return serviceRules[service]?.read.includes(method) ? "read" : "write";
}
