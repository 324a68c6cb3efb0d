import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { failedPrecondition, invalidArgument, notFound } from "@hull/errors";
import type { AllowedPeer } from "./options.ts";

/** Somebody whom a sandbox may talk to, by address. */
export interface Peer {
  readonly family: 4 | 6;
  /** An address, or a range of them. */
  readonly address: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
  /** By which it was called. */
  readonly name?: string;
}

/** What is known of the host. */
export interface PeersPlace {
  readonly ipv6: boolean;
  /** Addresses of a name. */
  readonly addressesOf?: (name: string) => Promise<readonly string[]>;
}

const domain =
  /^(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/**
 * The list of whom a sandbox may talk to, with names looked up once, as this host knows them.
 * @throws InvalidArgument for what is no address; NotFound for an unknown name; FailedPrecondition for one of IPv6 where the host has none
 */
export async function peersOf(allow: readonly AllowedPeer[], place: PeersPlace): Promise<Peer[]> {
  return (await Promise.all(allow.map((peer) => resolved(peer, place)))).flat();
}

async function resolved(
  { address, port, protocol = "tcp" }: AllowedPeer,
  { ipv6, addressesOf = lookUp }: PeersPlace,
): Promise<Peer[]> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw invalidArgument(`allowed port ${port} is none: they are 1 to 65535`);
  if (protocol !== "tcp" && protocol !== "udp")
    throw invalidArgument(`allowed protocol "${String(protocol)}" must be "tcp" or "udp"`);
  const noIpv6 = (): Error =>
    failedPrecondition(
      `allowed address "${address}" is one of IPv6, which this host has not: turn IPv6 on, or leave it out`,
    );
  const family = familyOf(address);
  if (family !== undefined) {
    if (family === 6 && !ipv6) throw noIpv6();
    return [{ family, address, port, protocol }];
  }
  if (!domain.test(address))
    throw invalidArgument(
      `allowed address "${address}" must be one of IPv4 or IPv6, a range of them, as in "10.1.0.0/16", or a name`,
    );
  const found = await addressesOf(address);
  const usable = found.filter((each) => isIP(each) === 4 || ipv6);
  if (usable.length === 0) throw noIpv6();
  return usable.map((each) => ({ family: isIP(each) === 6 ? 6 : 4, address: each, port, protocol, name: address }));
}

/** undefined for what is no address, and no range. */
function familyOf(text: string): 4 | 6 | undefined {
  const [, address = "", bits] = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  if (family !== 4 && family !== 6) return undefined;
  return Number(bits ?? 0) <= (family === 4 ? 32 : 128) ? family : undefined;
}

async function lookUp(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw notFound(`allowed address "${name}" is a name that this host finds no address for`, { cause });
  }
}

/** Lines of /etc/hosts for those that were given by name: a sandbox has nobody to ask. */
export function hostLinesOf(peers: readonly Peer[]): string[] {
  const lines = peers.flatMap(({ address, name }) => (name === undefined ? [] : [`${address}\t${name}`]));
  return [...new Set(lines)];
}

/** What neighbours of IPv6 find each other by, as ARP does for IPv4, and say what they listen to: RFC 4861, RFC 3810. */
const discovery =
  "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query, mld2-listener-report } accept";

/** The rules that let these pass and nobody else, as nft(8) reads them, in one line. */
export function rulesOf(peers: readonly Peer[]): string {
  const accepted = peers.map(
    ({ family, address, port, protocol }) =>
      `add rule inet sandbox out ${family === 4 ? "ip" : "ip6"} daddr ${address} ${protocol} dport ${port} accept`,
  );
  const ipv6 = peers.some(({ family }) => family === 6);
  return [
    "add table inet sandbox",
    "add chain inet sandbox in { type filter hook input priority 0 ; policy drop ; }",
    "add chain inet sandbox out { type filter hook output priority 0 ; policy drop ; }",
    'add rule inet sandbox in iif "lo" accept',
    "add rule inet sandbox in ct state established,related accept",
    'add rule inet sandbox out oif "lo" accept',
    "add rule inet sandbox out ct state established,related accept",
    ...(ipv6 ? ["in", "out"].map((chain) => `add rule inet sandbox ${chain} ${discovery}`) : []),
    ...accepted,
  ].join(" ; ");
}
