import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { loadNetworks, type Network, parseNetwork } from "@hull/cni";
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from "@hull/errors";
import { Descriptor, open, openFlags } from "@hull/sys/fd";
import { removeBridge } from "@hull/sys/interface";
import { lock } from "@hull/sys/lock";
import { membersOf } from "./names.ts";
import { apartFromOthers, configurationsIn, networksIn, ownConfigurations, reservedNames } from "./networks.ts";
import {
  contains,
  endsOf,
  formatSubnet,
  freeSubnet,
  overlap,
  parseSubnet,
  routedSubnets,
  type Subnet,
} from "./subnets.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What a network that hull makes may be asked for. */
export interface NetworkWishes {
  /** Addresses of its containers, as `10.1.2.0/24`; at most one of IPv4 and one of IPv6. A free one of IPv4 unless told. */
  readonly subnets?: readonly string[];
  /** Address of the host in each subnet; its first unless told. */
  readonly gateways?: readonly string[];
  /** The part of the subnet that containers get addresses of. */
  readonly ranges?: readonly string[];
  /** Also addresses of IPv6, of a subnet that nobody else has. */
  readonly ipv6?: boolean;
  /** No way out of it, and none in from the host. */
  readonly internal?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  /** Largest packet, in bytes. */
  readonly mtu?: number;
  /** What the host's bridge is called; made of the network's name unless told. At most 15 characters. */
  readonly bridge?: string;
}

/** What hull keeps in a network's configuration beside what CNI's plugins are told. */
export interface OwnNetwork {
  readonly network: Network;
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly bridge: string;
}

/**
 * Makes a network: a bridge of this host, whose containers find each other by name, and are found from no other such network. It is there
 * from the first container on.
 * @throws AlreadyExists; InvalidArgument
 */
export function createNetwork(name: string, wishes: NetworkWishes, env: Environment): OwnNetwork {
  // Of two who make networks at once each would find the same subnet free.
  using _held = configurationsHeld(env);
  return createAlone(name, wishes, env);
}

/** Lets nobody else change which networks there are. */
function configurationsHeld(env: Environment): Disposable {
  const folder = configurationsIn(env);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const held = new Descriptor(open(folder, openFlags.readOnly));
  lock(held.fd);
  return held;
}

function createAlone(name: string, wishes: NetworkWishes, env: Environment): OwnNetwork {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(name))
    throw invalidArgument(`"${name}" can't be a network's name: use letters, digits, "-", "_" and "."`);
  const others = networksIn(env);
  if (reservedNames.includes(name) || others.some((network) => network.name === name))
    throw alreadyExists(`network "${name}" exists already: choose another name`);
  const bridge = wishes.bridge ?? `hull-${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
  if (!/^[a-zA-Z0-9_.-]{1,15}$/.test(bridge)) throw invalidArgument(`"${bridge}" can't be a bridge's name`);
  const { internal = false, labels = {}, mtu } = wishes;
  if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= 68 && mtu <= 65_535))
    throw invalidArgument(`${mtu} can't be the largest packet: it is 68 to 65535 bytes`);
  const subnets = subnetsOf(wishes, others);
  const document = {
    cniVersion: "1.0.0",
    name,
    hull: { createdAt: new Date().toISOString(), labels, internal },
    plugins: [
      {
        type: "bridge",
        bridge,
        isGateway: !internal,
        ipMasq: !internal,
        hairpinMode: true,
        ...(mtu === undefined ? {} : { mtu }),
        ipam: {
          type: "host-local",
          ranges: rangesOf(subnets, wishes),
          routes: internal ? [] : subnets.map(({ family }) => ({ dst: family === 4 ? "0.0.0.0/0" : "::/0" })),
        },
      },
      ...(internal ? [] : [{ type: "portmap", capabilities: { portMappings: true } }]),
      apartFromOthers,
    ],
  };
  const folder = ownConfigurations(env);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const file = join(folder, `${name}.conflist`);
  writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`, { flag: "wx", mode: 0o644 });
  return ownNetwork(parseNetwork(JSON.stringify(document), file));
}

/** The networks that hull made. */
export const ownNetworks = (env: Environment): OwnNetwork[] => loadNetworks(ownConfigurations(env)).map(ownNetwork);

/** The one of this name that hull made. @throws NotFound; FailedPrecondition for one that isn't hull's to change */
export function ownNetworkNamed(name: string, env: Environment): OwnNetwork {
  const found = ownNetworks(env).find(({ network }) => network.name === name);
  if (found !== undefined) return found;
  if (reservedNames.includes(name)) throw failedPrecondition(`network "${name}" is always there: it can't be removed`);
  const other = networksIn(env).find((network) => network.name === name);
  if (other !== undefined)
    throw failedPrecondition(`network "${name}" is not hull's: it is a configuration of CNI, "${other.file}"`);
  throw notFound(`no such network: "${name}"`);
}

/**
 * Removes a network that hull made, with its bridge.
 * @param directory where the names of its containers are, see `namesDirectory`
 * @throws NotFound; FailedPrecondition while containers that run are on it, or if it isn't hull's
 */
export function removeNetwork(name: string, env: Environment, directory: string): void {
  using _held = configurationsHeld(env);
  const { network, bridge } = ownNetworkNamed(name, env);
  const [member, ...more] = membersOf(directory, name);
  if (member !== undefined)
    throw failedPrecondition(
      `network "${name}" has containers that run (${[member, ...more].map(({ names: [first = ""] }) => first).join(", ")}): stop them first`,
    );
  removeBridge(bridge);
  // What host-local keeps of addresses it gave: its default directory.
  rmSync(join("/var/lib/cni/networks", basename(name)), { recursive: true, force: true });
  rmSync(network.file, { force: true });
  // With the last one the host's directory is as it was: there are programs that take each entry of it for a network.
  const folder = ownConfigurations(env);
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}

function ownNetwork(network: Network): OwnNetwork {
  const { hull = {} } = JSON.parse(network.text) as { hull?: Partial<OwnNetwork> };
  const { createdAt = "", labels = {}, internal = false } = hull;
  const bridge = network.plugins[0]?.bridge;
  return { network, createdAt, labels, internal, bridge: typeof bridge === "string" ? bridge : "" };
}

function subnetsOf({ subnets = [], ipv6 = false }: NetworkWishes, others: readonly Network[]): Subnet[] {
  const asked = subnets.map(parseSubnet);
  for (const family of [4, 6] as const)
    if (asked.filter((subnet) => subnet.family === family).length > 1)
      throw invalidArgument(`a network has at most one subnet of IPv${family}`);
  const taken = [...others.flatMap(subnetsOfNetwork), ...(existsSync("/proc/net/route") ? routedSubnets() : [])];
  const chosen = asked.length > 0 ? asked : [freeSubnet(taken)];
  if (ipv6 && !chosen.some(({ family }) => family === 6)) chosen.push(uniqueLocalSubnet());
  for (const subnet of asked) {
    const network = others.find((other) => subnetsOfNetwork(other).some((each) => overlap(each, subnet)));
    if (network !== undefined)
      throw invalidArgument(`subnet "${formatSubnet(subnet)}" overlaps with that of network "${network.name}"`);
  }
  return chosen;
}

/** A subnet of RFC 4193, by chance. */
const uniqueLocalSubnet = (): Subnet =>
  parseSubnet(
    `fd${randomBytes(5)
      .toString("hex")
      .replace(/^(..)(....)(....)$/, "$1:$2:$3")}::/64`,
  );

/** Those of any network whose addresses host-local gives. */
function subnetsOfNetwork({ plugins }: Network): Subnet[] {
  return plugins.flatMap(({ ipam }) => {
    const { ranges = [], subnet } = (ipam ?? {}) as {
      ranges?: readonly (readonly { subnet?: string }[])[];
      subnet?: string;
    };
    const texts = [...ranges.flat().map((range) => range.subnet), subnet].filter((text) => text !== undefined);
    return texts.flatMap((text) => {
      try {
        return [parseSubnet(text)];
      } catch {
        // Others' files may say addresses that aren't a subnet's first: the plugin takes them.
        return [];
      }
    });
  });
}

/** What host-local is told of each subnet. @throws InvalidArgument for an address outside of all */
function rangesOf(subnets: readonly Subnet[], { gateways = [], ranges = [] }: NetworkWishes): unknown[] {
  const inside = ranges.map(parseSubnet);
  for (const gateway of gateways)
    if (!subnets.some((subnet) => contains(subnet, gateway)))
      throw invalidArgument(`gateway "${gateway}" is in no subnet of the network`);
  for (const range of inside)
    if (!subnets.some((subnet) => contains(subnet, endsOf(range).first) && range.prefix >= subnet.prefix))
      throw invalidArgument(`range "${formatSubnet(range)}" is in no subnet of the network`);
  return subnets.map((subnet) => {
    const gateway = gateways.find((address) => contains(subnet, address));
    const range = inside.find((each) => contains(subnet, endsOf(each).first));
    return [
      {
        subnet: formatSubnet(subnet),
        ...(gateway === undefined ? {} : { gateway }),
        ...(range === undefined ? {} : { rangeStart: endsOf(range).first, rangeEnd: endsOf(range).last }),
      },
    ];
  });
}
