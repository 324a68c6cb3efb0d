import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { addressBytes, formatAddress } from "@hull/cni";
import { invalidArgument, resourceExhausted } from "@hull/errors";

/** A range of addresses: those that agree in the first `prefix` bits. */
export interface Subnet {
  readonly family: 4 | 6;
  /** The first address, as a number. */
  readonly first: bigint;
  readonly prefix: number;
}

/** Where networks that ask for nothing get theirs, each a /24. */
const pool = "10.90.0.0/16";
const shareOfPool = 24;

const bitsOf = ({ family }: Pick<Subnet, "family">): number => (family === 4 ? 32 : 128);
const sizeOf = (subnet: Subnet): bigint => 1n << BigInt(bitsOf(subnet) - subnet.prefix);

/** @throws InvalidArgument for what isn't of the form ADDRESS/PREFIX, with no bit set behind the prefix */
export function parseSubnet(text: string): Subnet {
  const wrong = (why: string): Error => invalidArgument(`subnet "${text}" must be of the form ADDRESS/PREFIX: ${why}`);
  const [address = "", digits = "", ...rest] = text.split("/");
  const kind = isIP(address);
  if (kind === 0 || rest.length > 0) throw wrong(`"${address}" is no address`);
  const family = kind === 4 ? 4 : 6;
  const prefix = /^\d{1,3}$/.test(digits) ? Number(digits) : -1;
  if (prefix < 0 || prefix > bitsOf({ family })) throw wrong(`"${digits}" is no length of a prefix`);
  const first = addressNumber(address);
  const subnet = { family, first, prefix } as const;
  if (first % sizeOf(subnet) !== 0n)
    throw wrong(`its first address is ${addressOf({ ...subnet, first: first - (first % sizeOf(subnet)) })}`);
  return subnet;
}

export const formatSubnet = (subnet: Subnet): string => `${addressOf(subnet)}/${subnet.prefix}`;

/** True if an address is in both. */
export function overlap(one: Subnet, other: Subnet): boolean {
  if (one.family !== other.family) return false;
  return one.first < other.first + sizeOf(other) && other.first < one.first + sizeOf(one);
}

/** True if the address is in the subnet. */
export function contains(subnet: Subnet, address: string): boolean {
  if (isIP(address) !== subnet.family) return false;
  return overlap(subnet, { family: subnet.family, first: addressNumber(address), prefix: bitsOf(subnet) });
}

/** First and last address of a subnet. */
export function endsOf(subnet: Subnet): { first: string; last: string } {
  const last = { ...subnet, first: subnet.first + sizeOf(subnet) - 1n };
  return { first: addressOf(subnet), last: addressOf(last) };
}

/** A subnet of the pool that overlaps with none of these. @throws ResourceExhausted */
export function freeSubnet(taken: readonly Subnet[]): Subnet {
  const { family, first: start, prefix } = parseSubnet(pool);
  const share = { family, first: start, prefix: shareOfPool };
  for (let number = 0; number < 2 ** (shareOfPool - prefix); number++) {
    const subnet = { ...share, first: start + BigInt(number) * sizeOf(share) };
    if (!taken.some((other) => overlap(subnet, other))) return subnet;
  }
  throw resourceExhausted(`no /${shareOfPool} of ${pool} is free: remove networks, or name a subnet`);
}

/**
 * Subnets that this host has routes to, but for the default one: proc_pid_net(5), "route", whose numbers are in the order of bytes in
 * memory.
 */
export function routedSubnets(table = readFileSync("/proc/net/route", "utf8")): Subnet[] {
  return table
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.split(/\s+/))
    .flatMap(([, destination = "", , , , , , mask = ""]): Subnet[] => {
      const prefix = hostOrder(mask).toString(2).replaceAll("0", "").length;
      return prefix === 0 ? [] : [{ family: 4, first: BigInt(hostOrder(destination)), prefix }];
    });
}

const hostOrder = (hex: string): number => Buffer.from(hex, "hex").readUInt32LE();

const addressNumber = (address: string): bigint => BigInt(`0x${addressBytes(address)?.toString("hex")}`);

const addressOf = ({ family, first }: Subnet): string =>
  formatAddress(Buffer.from(first.toString(16).padStart(family === 4 ? 8 : 32, "0"), "hex"));
