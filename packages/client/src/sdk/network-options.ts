import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { invalidArgument } from "@hull/errors";
import type { SpecMiddleware } from "@hull/oci/spec";
import type { Container as ContainerRecord } from "../containers.ts";
import { networkLabelNames } from "../network/labels.ts";
import type { PortMapping } from "../network/ports.ts";

/**
 * What a container is connected to: `none` (nothing but its own loopback), `host` (the host's own network), `bridge` (a bridge that hull
 * brings along, with a way out), any other network of the host's CNI configuration by its name, or a network namespace by its path.
 */
export type NetworkOption =
  | "none"
  | "host"
  | "bridge"
  | (string & Record<never, never>)
  | { readonly namespace: string };

/** A port of a container that is reached by one of the host. */
export interface PublishOption {
  /** Port inside the container. */
  readonly container: number;
  /** Port of the host; a free one unless told: see `RunningContainer.port`. */
  readonly host?: number;
  /** Address of the host that it is at: `127.0.0.1`, which is for this host alone, unless told. `0.0.0.0` is all of IPv4. */
  readonly address?: string;
  /** `tcp` unless told. */
  readonly protocol?: "tcp" | "udp" | "sctp";
}

/** What a network is to a container's record and spec. */
export interface NetworkParts {
  readonly labels: Readonly<Record<string, string>>;
  readonly steps: readonly SpecMiddleware[];
}

/**
 * What the options say of the network.
 * @throws InvalidArgument for what contradicts itself; NotFound for an unknown network; FailedPrecondition, naming the program, for one
 * that isn't installed
 */
export async function networkParts(
  { network, publish = [] }: { network?: NetworkOption | undefined; publish?: readonly PublishOption[] | undefined },
  { id, namespace, address, mark }: { id: string; namespace: string; address: string; mark: string | undefined },
): Promise<NetworkParts> {
  const none: NetworkParts = { labels: {}, steps: [] };
  if (typeof network === "object") {
    if (publish.length > 0)
      throw invalidArgument("ports can't be published from a network namespace of one's own: leave `publish` out");
    return none;
  }
  if (publish.length === 0 && (network === undefined || network === "none")) return none;
  const ports = publish.map(mappingOf);
  if (network === "host" && ports.length === 0) return { labels: { [networkLabelNames.network]: "host" }, steps: [] };
  // What makes networks is for those who have one.
  const { chooseNetwork, networkLabels, networkSteps } = await import("../network/index.ts");
  const chosen = await chooseNetwork({ name: network, ports }, process.env);
  const place = { namespace, id, env: process.env, directory: namespaceDirectory(address), mark };
  return { labels: networkLabels(chosen, place), steps: networkSteps(chosen, place) };
}

/** @throws InvalidArgument */
function mappingOf({ container, host = 0, address = "127.0.0.1", protocol = "tcp" }: PublishOption): PortMapping {
  const isPort = (port: number, least: number): boolean => Number.isInteger(port) && port >= least && port <= 65_535;
  if (!isPort(container, 1)) throw invalidArgument(`port ${container} of the container is none: they are 1 to 65535`);
  if (!isPort(host, 0)) throw invalidArgument(`port ${host} of the host is none: they are 1 to 65535`);
  return { containerPort: container, hostPort: host, protocol, hostIP: address };
}

/** Where network namespaces are held while containers are on networks: beside the daemon's socket, as `hull run` has it. */
function namespaceDirectory(address: string): string {
  const path = address.replace(/^unix:(\/\/)?/, "");
  const isSocket = path.startsWith("/") && existsSync(path) && statSync(path).isSocket();
  return join(isSocket ? dirname(path) : "/run/hull", "netns");
}

/** Where a container that was started is reached. */
export interface ContainerNetwork {
  /** Its first address; undefined on no network, or one that this program doesn't know. */
  readonly address: string | undefined;
  readonly ports: readonly PortMapping[];
  /** Its ports are the host's own. */
  readonly host: boolean;
}

/** @param namespace the container's, of the daemon */
export async function networkOfRecord(record: ContainerRecord, namespace: string): Promise<ContainerNetwork> {
  const name = record.labels[networkLabelNames.network] ?? "none";
  if (name === "none" || name === "host")
    return { address: name === "host" ? "127.0.0.1" : undefined, ports: [], host: name === "host" };
  const { addressOf, portsOf } = await import("../network/index.ts");
  const [address] = addressOf(record, namespace, process.env)?.address.split("/") ?? [];
  return { address, ports: portsOf(record), host: false };
}
