/**
 * Networks of containers that programs and the docker-like commands make.
 *
 *   chooseNetwork(wishes) ──► labels for the record, steps for the spec ──► (the OCI runtime calls the hooks) attach … detach
 *
 * "none" and "host" take nothing. Any other is a network of CNI: its plugins are called by OCI hooks, so that a container is on it whenever
 * it runs, and off it when it has ended, whoever starts it.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { addressesOf, type Result } from "@hull/cni";
import { selfCommand } from "@hull/engine/self";
import { invalidArgument } from "@hull/errors";
import { type Hook, type SpecMiddleware, type SpecMount, withMounts } from "@hull/oci/spec";
import type { Container } from "../containers.ts";
import { networksOf } from "./connected.ts";
import type { HookRequest } from "./hook.ts";
import { networkLabelNames } from "./labels.ts";
import { attachmentOf, cniIn, keyOf, networkNamed, requirePrograms } from "./networks.ts";
import { type PortMapping, withHostPorts } from "./ports.ts";

export { formatPorts, type PortMapping } from "./ports.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The network that a container is to be on, and its published ports. */
export interface ChosenNetwork {
  readonly name: string;
  readonly ports: readonly PortMapping[];
}

/**
 * Published ports want a network, and take the bridge where none is named. Those without a port of the host get a free one.
 * @throws NotFound for a network that isn't there; FailedPrecondition for programs that aren't installed; InvalidArgument
 */
export async function chooseNetwork(
  { name: wanted, ports }: { name: string | undefined; ports: readonly PortMapping[] },
  env: Environment,
): Promise<ChosenNetwork> {
  const name = wanted ?? (ports.length > 0 ? "bridge" : "none");
  if (name === "none" || name === "host") {
    if (ports.length > 0)
      throw invalidArgument(`ports can't be published on the network "${name}": publish none, or use "bridge"`);
    return { name, ports: [] };
  }
  const network = networkNamed(name, env);
  if (ports.length > 0 && !network.plugins.some(({ capabilities }) => capabilities?.portMappings === true))
    throw invalidArgument(
      `ports can't be published on the network "${name}": it is internal, or no plugin of its configuration has the capability "portMappings"`,
    );
  requirePrograms(network, env);
  return { name, ports: await withHostPorts(ports) };
}

/** Where a container is, and what its network needs to know of that. */
export interface Place {
  readonly namespace: string;
  readonly id: string;
  /** Directory where network namespaces are held: each daemon has its own. */
  readonly directory: string;
  /** Tells engines apart, which share a directory; see `ClientConnection`. */
  readonly mark?: string | undefined;
}

/** Of two daemons on this host, or two engines, each may have a container of the same id in the same network. */
export const ownerOf = ({ directory, mark }: Pick<Place, "directory" | "mark">): string =>
  mark ?? createHash("sha256").update(directory).digest("hex").slice(0, 8);

/** Where a container's network namespace is held while it is on its network. */
export const heldNamespace = (place: Place): string =>
  join(place.directory, keyOf({ ...place, owner: ownerOf(place) }));

/** What is kept of it in the container's record. */
export const networkLabels = (
  { name, ports }: ChosenNetwork,
  place: Pick<Place, "directory" | "mark">,
): Record<string, string> => ({
  [networkLabelNames.network]: name,
  ...(name === "none" || name === "host" ? {} : { [networkLabelNames.owner]: ownerOf(place) }),
  ...(ports.length === 0 ? {} : { [networkLabelNames.ports]: JSON.stringify(ports) }),
});

/** The ports of a container's record that one of its networks publishes. */
export const portsOf = (container: Pick<Container, "labels">): readonly PortMapping[] =>
  networksOf(container).some(({ ports }) => ports === true) ? wishedPorts(container) : [];

/** The ports of a container's record, whether it is on a network or not. */
export function wishedPorts({ labels }: Pick<Container, "labels">): readonly PortMapping[] {
  try {
    const ports: unknown = JSON.parse(labels[networkLabelNames.ports] ?? "[]");
    return Array.isArray(ports) ? (ports as PortMapping[]) : [];
  } catch {
    return [];
  }
}

/** The steps of the spec that put a container on its network; none for "none" and "host". `naming`: see `writeNaming`. */
export function networkSteps(
  { name, ports }: ChosenNetwork,
  place: Place & { env: Environment; naming?: string | undefined },
): SpecMiddleware[] {
  if (name === "none" || name === "host") return [];
  const { namespace, id, directory, naming, env } = place;
  const request = { network: name, namespace, id, owner: ownerOf(place), ports, directory, ...(naming && { naming }) };
  return [withMounts(resolverMounts()), withNetworkHooks(request, env)];
}

/** The container's resolv.conf, where it is the host's. */
export function resolverMounts(): SpecMount[] {
  const resolver = resolverFile();
  return resolver === undefined
    ? []
    : [{ destination: "/etc/resolv.conf", type: "bind", source: resolver, options: ["rbind", "ro"] }];
}

/** The hooks that put a container on a network and take it off. */
export function withNetworkHooks(request: Omit<HookRequest, "action">, env: Environment): SpecMiddleware {
  const hook = (action: HookRequest["action"]): Hook => {
    const [path = "", ...args] = selfCommand("network-hook");
    const text = JSON.stringify({ action, ...request });
    return { path, args: [path, ...args, text], env: hookEnvironment(env), timeout: 60 };
  };
  return (spec) => ({
    ...spec,
    hooks: {
      ...spec.hooks,
      createRuntime: [...(spec.hooks?.createRuntime ?? []), hook("attach")],
      poststop: [...(spec.hooks?.poststop ?? []), hook("detach")],
    },
  });
}

/** The resolv.conf of the host that is of use in a container; empty if there is none. */
export function hostResolver(): string {
  const file = resolverFile();
  return file === undefined ? "" : readFileSync(file, "utf8");
}

/** A resolver on the host's loopback is out of reach from inside: where systemd's is one, it tells those behind it. */
function resolverFile(): string | undefined {
  const [systemd, own] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"] as const;
  if (!existsSync(own)) return existsSync(systemd) ? systemd : undefined;
  const text = readFileSync(own, "utf8");
  return existsSync(systemd) && /^nameserver\s+127\.0\.0\.53\b/m.test(text) ? systemd : own;
}

/** Plugins look for iptables and the like in $PATH; OCI runtimes give hooks none. */
function hookEnvironment(env: Environment): string[] {
  const kept = ["NETCONFPATH", "CNI_PATH", "HULL_SUBNET", "HULL_SUBNET6"].flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [`${name}=${value}`];
  });
  return ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...kept];
}

/** What a network gave a container that runs. */
export interface NetworkAddress {
  readonly network: string;
  /** With the length of its prefix. */
  readonly address: string;
  readonly gateway: string;
  readonly mac: string;
  readonly result: Result;
}

/** What its first network gave a container that runs; undefined if it is on none. */
export const addressOf = (
  container: Pick<Container, "id" | "labels">,
  namespace: string,
  env: Environment,
): NetworkAddress | undefined => addressesIn(container, namespace, env)[0];

/** What its networks gave a container that runs. */
export function addressesIn(
  container: Pick<Container, "id" | "labels">,
  namespace: string,
  env: Environment,
): NetworkAddress[] {
  const key = keyOf({ owner: container.labels[networkLabelNames.owner], namespace, id: container.id });
  return networksOf(container).flatMap(({ name, interface: interfaceName }) => {
    try {
      const result = cniIn(env).resultOf(networkNamed(name, env), { ...attachmentOf(key, "", []), interfaceName });
      if (result === undefined) return [];
      const [first] = addressesOf(result);
      const mac = result.interfaces.find(({ sandbox = "" }) => sandbox !== "")?.mac ?? "";
      return [{ network: name, address: first?.address ?? "", gateway: first?.gateway ?? "", mac, result }];
    } catch {
      // A network that was taken away since.
      return [];
    }
  });
}
