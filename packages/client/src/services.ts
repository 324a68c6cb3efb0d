/**
 * The services of containerd's API, for what `Hull` has no method for:
 *
 *     import { DiffDefinition } from "@hull/client/services";
 *
 *     const { diff } = await hull.api.service(DiffDefinition).diff({ left, right });
 *
 * Numbers of 64 bits are `bigint`, fields may be left out of requests, errors are `HullError`.
 */
export { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
export { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
export { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
export { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
export { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
export { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
export { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
export { MountsDefinition } from "@hull/api/gen/containerd/services/mounts/v1/mounts";
export { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
export { ControllerDefinition, StoreDefinition } from "@hull/api/gen/containerd/services/sandbox/v1/sandbox";
export { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
export { StreamingDefinition } from "@hull/api/gen/containerd/services/streaming/v1/streaming";
export { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
export { TransferDefinition } from "@hull/api/gen/containerd/services/transfer/v1/transfer";
export { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
