import { NamespaceMode, type PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { HullError, unknown } from "@hull/errors";
import type { RuntimeHandler, RuntimeHandlers } from "../handlers.ts";

const untrustedAnnotation = "io.kubernetes.cri.untrusted-workload";
const untrusted = "untrusted";

/**
 * The handler of a pod: the one that is asked for, or `untrusted` for workloads that say they are.
 * @throws Unknown, in containerd's words
 */
export function handlerOf(
  handlers: Pick<RuntimeHandlers, "get">,
  id: string,
  config: PodSandboxConfig,
  wanted: string,
): RuntimeHandler {
  try {
    if (config.annotations[untrustedAnnotation] !== "true") return handlers.get(wanted);
    if (wanted !== "" && wanted !== untrusted)
      throw unknown("untrusted workload with explicit runtime handler is not allowed");
    const { network, pid, ipc } = config.linux?.securityContext?.namespaceOptions ?? {};
    if ([network, pid, ipc].includes(NamespaceMode.NODE))
      throw unknown("untrusted workload with host access is not allowed");
    return handlers.get(untrusted);
  } catch (error) {
    const { code, message } = HullError.from(error);
    throw new HullError(code, `unable to get OCI runtime for sandbox ${JSON.stringify(id)}: ${message}`);
  }
}
