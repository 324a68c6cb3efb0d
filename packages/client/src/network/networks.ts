import { accessSync, constants } from "node:fs";
import { dirname, join } from "node:path";
import { type Attachment, Cni, loadNetworks, type Network, parseNetwork } from "@hull/cni";
import { failedPrecondition, notFound } from "@hull/errors";
import type { PortMapping } from "./ports.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const defaultConfigurations = "/etc/cni/net.d";
const defaultPlugins: readonly string[] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
const programDirectories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const defaultSubnet = "10.88.64.0/20";

export const configurationsIn = (env: Environment): string => env.NETCONFPATH ?? defaultConfigurations;
const pluginsIn = (env: Environment): readonly string[] => env.CNI_PATH?.split(":").filter(Boolean) ?? defaultPlugins;

/** The plugin that keeps hull's bridges apart: what comes in by one of them goes out by no other. */
export const apartFromOthers = { type: "firewall", ingressPolicy: "same-bridge" } as const;

/**
 * The network that hull brings along, under the name "bridge": a bridge of this host, whose addresses reach the outside by its own, with
 * published ports. $HULL_SUBNET gives it other addresses.
 */
function ownBridge(env: Environment): Network {
  const subnet = env.HULL_SUBNET ?? defaultSubnet;
  const document = {
    cniVersion: "1.0.0",
    name: "hull-bridge",
    plugins: [
      {
        type: "bridge",
        bridge: "hull0",
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: { type: "host-local", ranges: [[{ subnet }]], routes: [{ dst: "0.0.0.0/0" }] },
      },
      { type: "portmap", capabilities: { portMappings: true } },
      apartFromOthers,
    ],
  };
  return parseNetwork(JSON.stringify(document), "hull's own bridge");
}

/** Apart from the host's other configurations, the first of which is the pods'. */
export const ownConfigurations = (env: Environment): string => join(configurationsIn(env), "hull.d");

/** What a container may be called on a network: it has to fit into /etc/hosts. */
export const memberName = /^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/;

/** Names of networks that are always there. */
export const reservedNames: readonly string[] = ["none", "host", "bridge", "default"];

/** The host's configurations of CNI, and the networks that hull made. */
export const networksIn = (env: Environment): Network[] => [
  ...loadNetworks(configurationsIn(env)),
  ...loadNetworks(ownConfigurations(env)),
];

/** True for networks whose containers find each other by name: those that hull made. */
export const hasNames = (network: Network, env: Environment): boolean =>
  dirname(network.file) === ownConfigurations(env);

/** The network of this name: of the host's configuration, else hull's own bridge. @throws NotFound, saying which there are */
export function networkNamed(name: string, env: Environment): Network {
  const configured = networksIn(env);
  const found = configured.find((network) => network.name === name);
  if (found !== undefined) return found;
  if (name === "bridge") return ownBridge(env);
  const names = ["none", "host", "bridge", ...configured.map((network) => network.name)];
  throw notFound(
    `no such network: "${name}"; there are ${names.map((each) => `"${each}"`).join(", ")}, and each CNI configuration in ${configurationsIn(env)} is another`,
  );
}

/** Fails now, with what to install, rather than when the container starts. @throws FailedPrecondition */
export function requirePrograms(network: Network, env: Environment): void {
  const plugins = pluginsIn(env);
  const missing = network.plugins
    .map(({ type }) => type)
    .find((type) => !plugins.some((directory) => runs(join(directory, type))));
  if (missing !== undefined)
    throw failedPrecondition(
      `network "${network.name}" needs the CNI plugin "${missing}", which is not in ${plugins.join(", ")}: install the CNI plugins (Debian: apt-get install containernetworking-plugins), or use the network "none" or "host"`,
    );
  const filters = network.plugins.some(({ type, ipMasq }) => ipMasq === true || type === "portmap");
  if (filters && !programDirectories.some((directory) => runs(join(directory, "iptables"))))
    throw failedPrecondition(
      `network "${network.name}" needs iptables: install it (Debian: apt-get install iptables), or use the network "none" or "host"`,
    );
}

function runs(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What calls the plugins. */
export const cniIn = (env: Environment): Cni => new Cni({ pluginDirectories: pluginsIn(env) });

/** Which container it is, of all on this host. */
export interface ContainerKey {
  /** Tells daemons and engines apart, see `ownerOf`; undefined for a container of an earlier version. */
  readonly owner: string | undefined;
  readonly namespace: string;
  readonly id: string;
}

/** What CNI calls a container. */
export const keyOf = ({ owner, namespace, id }: ContainerKey): string =>
  [...(owner === undefined ? [] : [owner]), namespace, id].join("-");

/** A container's place in its network. */
export const attachmentOf = (key: string, netns: string, ports: readonly PortMapping[]): Attachment => ({
  containerId: key,
  netns,
  interfaceName: "eth0",
  ...(ports.length === 0 ? {} : { capabilities: { portMappings: ports } }),
});
