/** Classes of block I/O and of caches that annotations ask for (as the documents of goresctrl have them). */

import type { ContainerConfig, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { unknown } from "@hull/errors";
import type { CriRuntimeConfig } from "../config.ts";

function classOf(kind: "blockio" | "rdt", config: ContainerConfig, pod: PodSandboxConfig): string {
  const prefix = `${kind}.resources.beta.kubernetes.io`;
  return (
    config.annotations[`io.kubernetes.cri.${kind}-class`] ??
    pod.annotations[`${prefix}/container.${config.metadata?.name ?? ""}`] ??
    pod.annotations[`${prefix}/pod`] ??
    ""
  );
}

/**
 * Classes are defined in files of a node's own, which hull doesn't read for pods: who asks for one is refused, as by a containerd without such
 * files, unless the configuration says to run without.
 * @throws Unknown
 */
export function refuseClasses(
  config: ContainerConfig,
  pod: PodSandboxConfig,
  { containerd: { ignore_blockio_not_enabled_errors, ignore_rdt_not_enabled_errors } }: CriRuntimeConfig,
): void {
  const name = JSON.stringify(config.metadata?.name ?? "");
  const blockIo = classOf("blockio", config, pod);
  if (blockIo !== "" && !ignore_blockio_not_enabled_errors)
    throw unknown(
      `failed to set blockio class: blockio disabled, refusing to set blockio class of container ${name} to ${JSON.stringify(blockIo)}`,
    );
  const rdt = classOf("rdt", config, pod);
  if (rdt !== "" && !ignore_rdt_not_enabled_errors)
    throw unknown(`failed to set RDT class: RDT not initialized, class ${JSON.stringify(rdt)} not available`);
}
