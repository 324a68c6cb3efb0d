/** What a pod's networks answered, put together as go-cni does: in this form containerd records and shows it. */

import { addressesOf, type Result } from "@hull/cni";
import { unknown } from "@hull/errors";

/** Go's field names, since it is written as JSON. */
export interface GoCniResult {
  readonly Interfaces: Readonly<Record<string, GoCniInterface>>;
  readonly DNS: readonly Readonly<Record<string, unknown>>[];
  readonly Routes: readonly Readonly<Record<string, unknown>>[] | null;
}

export interface GoCniInterface {
  readonly IPConfigs: readonly { readonly IP: string; readonly Gateway: string }[] | null;
  readonly Mac: string;
  readonly Sandbox: string;
  readonly PciID: string;
  readonly SocketPath: string;
}

/** One to which addresses are added. */
type Mutable = GoCniInterface & { readonly IPConfigs: { IP: string; Gateway: string }[] };

/** The interface whose addresses are the pod's. */
export const defaultInterface = "eth0";

/** Puts the results of a pod's networks together, with the loopback interface. */
export function goCniResult(netns: string, results: readonly Result[]): GoCniResult {
  const interfaces: Record<string, Mutable> = {
    lo: { ...interfaceOf("00:00:00:00:00:00", netns), IPConfigs: loopbackAddresses },
  };
  const known = (name: string) => (interfaces[name] ??= interfaceOf("", ""));
  for (const result of results) {
    for (const { name, mac = "", sandbox = "" } of result.interfaces) {
      interfaces[name] = { ...interfaceOf(mac, sandbox), IPConfigs: known(name).IPConfigs };
    }
    for (const { address, gateway = "", interface: at } of addressesOf(result)) {
      const name = at === undefined ? defaultInterface : (result.interfaces[at]?.name ?? defaultInterface);
      known(name).IPConfigs.push({ IP: withoutPrefix(address), Gateway: gateway });
    }
  }
  const inOrder = Object.entries(interfaces).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    Interfaces: Object.fromEntries(
      inOrder.map(([name, one]) => [name, one.IPConfigs.length === 0 ? { ...one, IPConfigs: null } : one]),
    ),
    DNS: [{}, ...results.map(({ dns }) => withoutEmpty(dns))],
    Routes: routesOf(results),
  };
}

const loopbackAddresses = [
  { IP: "127.0.0.1", Gateway: "" },
  { IP: "::1", Gateway: "" },
];

const interfaceOf = (mac: string, sandbox: string): Mutable => ({
  IPConfigs: [],
  Mac: mac,
  Sandbox: sandbox,
  PciID: "",
  SocketPath: "",
});

function routesOf(results: readonly Result[]): GoCniResult["Routes"] {
  const routes = results.flatMap((result) => result.routes.map(({ dst, gw }) => withoutEmpty({ dst, gw: gw ?? "" })));
  return routes.length === 0 ? null : routes;
}

function withoutEmpty(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== "" && !(Array.isArray(value) && value.length === 0)),
  );
}

const withoutPrefix = (address: string): string => address.replace(/\/\d+$/, "");

/**
 * The pod's first address by `ip_pref`, and the others behind it. @throws Unknown if the default interface has none
 */
export function selectAddresses(
  id: string,
  { Interfaces }: GoCniResult,
  preference: string,
): { ip: string; additionalIps: string[] } {
  const addresses = (Interfaces[defaultInterface]?.IPConfigs ?? []).map(({ IP }) => IP);
  const isFirst = {
    cni: () => true,
    ipv6: (address: string) => address.includes(":"),
    ipv4: (address: string) => !address.includes(":"),
  }[preference === "cni" || preference === "ipv6" ? preference : "ipv4"];
  const ip = addresses.find(isFirst) ?? addresses[0];
  if (ip === undefined) throw unknown(`failed to find network info for sandbox ${JSON.stringify(id)}`);
  const at = addresses.indexOf(ip);
  return { ip, additionalIps: addresses.filter((_, other) => other !== at) };
}
