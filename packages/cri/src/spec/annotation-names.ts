/** Names of the annotations that containerd's CRI writes into specs and reads from pods; shims and runtimes go by them. */
export const annotationNames = {
  /** `sandbox` or `container`. */
  containerType: "io.kubernetes.cri.container-type",
  sandboxId: "io.kubernetes.cri.sandbox-id",
  sandboxNamespace: "io.kubernetes.cri.sandbox-namespace",
  sandboxUid: "io.kubernetes.cri.sandbox-uid",
  sandboxName: "io.kubernetes.cri.sandbox-name",
  sandboxLogDirectory: "io.kubernetes.cri.sandbox-log-directory",
  sandboxImageName: "io.kubernetes.cri.podsandbox.image-name",
  sandboxCpuPeriod: "io.kubernetes.cri.sandbox-cpu-period",
  sandboxCpuQuota: "io.kubernetes.cri.sandbox-cpu-quota",
  sandboxCpuShares: "io.kubernetes.cri.sandbox-cpu-shares",
  sandboxMemory: "io.kubernetes.cri.sandbox-memory",
  containerName: "io.kubernetes.cri.container-name",
  imageName: "io.kubernetes.cri.image-name",
  /** `true` selects the handler `untrusted`. */
  untrustedWorkload: "io.kubernetes.cri.untrusted-workload",
} as const;
