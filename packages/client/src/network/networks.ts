import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
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

/** Names of the bridge that hull brings along, for those who have addresses of IPv4, and for those who have some of IPv6 as well. */
export const ownBridges = { 4: "bridge", 6: "bridge6" } as const;

/** Whether a container's interface can have an address of IPv6 here. */
export function hostHasIpv6(): boolean {
  return ["all", "default"].every((which) => {
    const file = `/proc/sys/net/ipv6/conf/${which}/disable_ipv6`;
    return existsSync(file) && readFileSync(file, "utf8").trim() === "0";
  });
}

/** A subnet of RFC 4193 that is this host's, the same each time: its number is made of the host's. */
function uniqueLocalSubnet(): string {
  const file = "/etc/machine-id";
  // The host's own is not to be told: machine-id(5).
  const number = createHash("sha256")
    .update("hull's bridge of ")
    .update(existsSync(file) ? readFileSync(file) : "");
  const [, one, two, three] = /^(..)(....)(....)/.exec(number.digest("hex")) ?? [];
  return `fd${one}:${two}:${three}::/64`;
}

/**
 * The network that hull brings along, under the name "bridge": a bridge of this host, whose addresses reach the outside by its own, with
 * published ports. $HULL_SUBNET gives it other addresses, $HULL_SUBNET6 those of IPv6.
 */
function ownBridge(env: Environment, family: 4 | 6): Network {
  const subnets = [
    env.HULL_SUBNET ?? defaultSubnet,
    ...(family === 6 ? [env.HULL_SUBNET6 ?? uniqueLocalSubnet()] : []),
  ];
  const routes = [{ dst: "0.0.0.0/0" }, ...(family === 6 ? [{ dst: "::/0" }] : [])];
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
        ipam: { type: "host-local", ranges: subnets.map((subnet) => [{ subnet }]), routes },
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
export const reservedNames: readonly string[] = ["none", "host", ...Object.values(ownBridges), "default"];

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
  if (name === ownBridges[4] || name === ownBridges[6]) return ownBridge(env, name === ownBridges[6] ? 6 : 4);
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
