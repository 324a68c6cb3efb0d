/**
 * From a pod's and a container's configuration to the OCI runtime spec, as containerd makes it.
 *
 *   ContainerSpecs.container(request) ─┬─ resolveMounts, devices, profiles, users ◄── host, root file system
 *                                      ├─ buildContainerSpec: a pure function of all that
 *                                      └─ devices of CDI
 *
 * Everything that looks at the host is behind `SpecHost`; the rest can be tested without one. Errors are in containerd's words and, as there,
 * mostly of no class (Unknown).
 */

export { annotationNames } from "./annotation-names.ts";
export { passedAnnotations } from "./annotations.ts";
export { buildContainerSpec } from "./container.ts";
export { readHostFacts } from "./host.ts";
export { ImageVolumes, type ImageVolumesOptions } from "./image-volumes.ts";
export type * from "./input.ts";
export {
  type ContainerSpecRequest,
  ContainerSpecs,
  type MadeSpec,
  type PauseSpecRequest,
  type SpecHost,
} from "./make.ts";
export { checkPropagation } from "./mounts.ts";
export { idMappingsOf } from "./namespaces.ts";
export { buildPauseSpec, podSysctls } from "./pause.ts";
export { cgroupsPath, linuxResources, oomScore, resourcesOfSpec, withUpdatedResources } from "./resources.ts";
export { type RootfsFiles, UserFilesReader } from "./rootfs-files.ts";
export { checkSelinux, type SelinuxLabels } from "./selinux.ts";
export { stopSignalName, stopSignalOf } from "./stop-signal.ts";
export { containerUser } from "./user.ts";
