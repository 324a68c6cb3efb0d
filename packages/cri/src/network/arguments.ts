/** What plugins are told of a pod: CNI_ARGS and the arguments of capabilities, as containerd gives them. */

import { type PodSandboxConfig, Protocol } from "@hull/api/gen/cri/v1/cri";
import { HullError, unknown } from "@hull/errors";
import { parseQuantity } from "./quantity.ts";

/** Pairs for CNI_ARGS. */
export function cniArgs(id: string, { metadata }: PodSandboxConfig): [string, string][] {
  return [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAMESPACE", metadata?.namespace ?? ""],
    ["K8S_POD_NAME", metadata?.name ?? ""],
    ["K8S_POD_INFRA_CONTAINER_ID", id],
    ["K8S_POD_UID", metadata?.uid ?? ""],
  ];
}

/** Arguments by capability. @throws Unknown for a bandwidth that can't be */
export function cniCapabilities(config: PodSandboxConfig): Record<string, unknown> {
  const { annotations, portMappings, dnsConfig, linux } = config;
  const ports = portMappings.flatMap(({ hostPort, containerPort, protocol, hostIp }) =>
    hostPort <= 0 ? [] : [{ hostPort, containerPort, protocol: protocolName(protocol), hostIP: hostIp }],
  );
  const bandwidth = bandwidthOf(annotations);
  const cgroupPath = linux?.cgroupParent ?? "";
  return {
    "io.kubernetes.cri.pod-annotations": annotations,
    ...(ports.length === 0 ? {} : { portMappings: ports }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
    ...(dnsConfig === undefined
      ? {}
      : { dns: { servers: dnsConfig.servers, searches: dnsConfig.searches, options: dnsConfig.options } }),
    ...(cgroupPath === "" ? {} : { cgroupPath }),
  };
}

const protocolNames = new Map<number, string>(
  Object.entries(Protocol).map(([name, protocol]) => [protocol, name.toLowerCase()]),
);

/** As the proto file names it, in lower case. */
const protocolName = (protocol: Protocol): string => protocolNames.get(protocol) ?? String(protocol);

/** Without a limit of its own a burst is as large as the plugin can take. */
const largestBurst = 2 ** 32 - 1;

function bandwidthOf(annotations: Readonly<Record<string, string>>) {
  const [ingress, egress] = (["ingress", "egress"] as const).map((way) =>
    rateOf(annotations[`kubernetes.io/${way}-bandwidth`]),
  );
  if (ingress === undefined && egress === undefined) return undefined;
  const burst = (rate: number | undefined) => (rate === undefined ? 0 : largestBurst);
  return {
    ingressRate: ingress ?? 0,
    ingressBurst: burst(ingress),
    egressRate: egress ?? 0,
    egressBurst: burst(egress),
  };
}

/** Bits a second. */
function rateOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const failed = (why: string) => unknown(`get cni namespace options: reading pod bandwidth annotations: ${why}`);
  let rate: bigint;
  try {
    rate = parseQuantity(text);
  } catch (error) {
    throw failed(HullError.from(error).message);
  }
  if (rate < 1000n) throw failed("resource is unreasonably small (< 1kbit)");
  if (rate > 1_000_000_000_000_000n) throw failed("resource is unreasonably large (> 1Pbit)");
  return Number(rate);
}
