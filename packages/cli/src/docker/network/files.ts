import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { hostsHead } from "@hull/client/network/names";
import { invalidArgument } from "@hull/errors";
import type { SpecMount } from "@hull/oci/spec";
import { defineFlags, type FlagValues } from "../../command/index.ts";

/** Flags of `run` and `create` that say how names are found. */
export const nameFlags = defineFlags({
  dns: { kind: "list", value: "IP", summary: "A server to ask for names, in place of the host's" },
  "dns-search": { kind: "list", value: "DOMAIN", summary: "A domain that names are looked for in; . for none" },
  "dns-option": { kind: "list", aliases: ["dns-opt"], value: "OPTION", summary: "An option of resolv.conf" },
  "network-alias": { kind: "list", value: "NAME", summary: "Another name for it on its network" },
  "add-host": { kind: "list", value: "NAME:IP", summary: "A line of /etc/hosts" },
});

type NameFlags = FlagValues<typeof nameFlags>;

/**
 * The contents of /etc/hosts and /etc/resolv.conf of a container, where the flags or its network ask for its own; `resolver` is the host's
 * resolv.conf, from which comes what they don't say. @throws InvalidArgument
 */
export function nameFiles(
  flags: NameFlags,
  network: string,
  resolver: string,
): { hosts?: string; "resolv.conf"?: string } {
  const hosts = flags["add-host"].map(hostLine);
  const head = network === "host" && existsSync("/etc/hosts") ? readFileSync("/etc/hosts", "utf8") : hostsHead;
  const asked = [...flags.dns, ...flags["dns-search"], ...flags["dns-option"]].length > 0;
  return {
    // On a network the names of it come in, when it is attached.
    ...(hosts.length === 0 && !attaches(network) ? {} : { hosts: head + hosts.join("") }),
    ...(asked ? { "resolv.conf": resolvConf(flags, resolver) } : {}),
  };
}

/** True for networks that a container has an address on: hull's hook attaches it. */
export const attaches = (network: string): boolean => network !== "none" && network !== "host";

function hostLine(text: string): string {
  const [, name = "", address = ""] = /^([^:=\s]+)[:=]\[?([^\]\s]+)\]?$/.exec(text) ?? [];
  if (name === "") throw invalidArgument(`bad format for add-host: "${text}"`);
  if (isIP(address) === 0) throw invalidArgument(`invalid IP address in add-host: "${address}"`);
  return `${address}\t${name}\n`;
}

/** resolv.conf(5). */
function resolvConf({ dns, "dns-search": search, "dns-option": options }: NameFlags, resolver: string): string {
  for (const address of dns) if (isIP(address) === 0) throw invalidArgument(`${address} is not an ip address`);
  for (const word of [...search, ...options])
    if (word === "" || /\s/.test(word)) throw invalidArgument(`"${word}" can't be written into resolv.conf`);
  const host = (key: string): string[] => resolver.split("\n").filter((line) => line.split(/\s/)[0] === key);
  const domains = search.filter((domain) => domain !== ".");
  const lines = [
    ...(search.length > 0 ? (domains.length > 0 ? [`search ${domains.join(" ")}`] : []) : host("search")),
    ...(dns.length > 0 ? dns.map((address) => `nameserver ${address}`) : host("nameserver")),
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : host("options")),
  ];
  return `${lines.join("\n")}\n`;
}

/** Writes a container's files into a directory of its own; they go again with `undo`. Gives what mounts them. */
export function placeNameFiles(
  files: Readonly<Record<string, string>>,
  directory: string,
  undo: DisposableStack,
): SpecMount[] {
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  return Object.entries(files).map(([name, text]) => {
    const source = join(directory, name);
    writeFileSync(source, text, { mode: 0o644 });
    return { type: "bind", source, destination: `/etc/${name}`, options: ["rbind", "rprivate"] };
  });
}
