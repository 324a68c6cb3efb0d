/** The types of the engine's plugins; names are containerd's. */
export const pluginTypes = {
  containerMonitor: "io.containerd.monitor.container.v1",
  content: "io.containerd.content.v1",
  differ: "io.containerd.differ.v1",
  event: "io.containerd.event.v1",
  gc: "io.containerd.gc.v1",
  grpc: "io.containerd.grpc.v1",
  internal: "io.containerd.internal.v1",
  lease: "io.containerd.lease.v1",
  metadata: "io.containerd.metadata.v1",
  runtime: "io.containerd.runtime.v2",
  sandboxController: "io.containerd.sandbox.controller.v1",
  sandboxStore: "io.containerd.sandbox.store.v1",
  service: "io.containerd.service.v1",
  snapshotter: "io.containerd.snapshotter.v1",
  warning: "io.containerd.warning.v1",
  transfer: "io.containerd.transfer.v1",
} as const;
