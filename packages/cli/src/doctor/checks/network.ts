import { join } from "node:path";
import { loadNetworks, type Network, type NetworkPlugin } from "@hull/cni";
import { HullError } from "@hull/errors";
import { type Check, type Finding, fail, ok, warn } from "../finding.ts";
import type { Machine } from "../machine.ts";

const configuration: Check = async (machine, { cri }) => {
  const { conf_dir, bin_dir, bin_dirs, max_conf_num } = cri.runtime.cni;
  let networks: Network[];
  try {
    networks = loadNetworks(conf_dir, max_conf_num === 0 ? {} : { most: max_conf_num });
  } catch (error) {
    return fail("configuration", HullError.from(error).message, "mend the file, or remove it");
  }
  const mend = `install a network for the cluster, which brings one, or write one to ${conf_dir}`;
  if (networks.length === 0)
    return warn(
      "configuration",
      `none in ${conf_dir}: the node isn't ready, and only pods of the host's network run`,
      mend,
    );
  const directories = bin_dir === "" ? bin_dirs : [bin_dir];
  const names = networks.map(({ name, file }) => `"${name}" (${file})`).join(", ");
  const findings: Finding[] = [ok("configuration", names)];
  for (const network of networks) findings.push(await pluginsOf(machine, network, directories));
  return findings;
};

/** All programs that a network's configuration names, found and asked for their versions. */
async function pluginsOf(machine: Machine, network: Network, directories: readonly string[]): Promise<Finding> {
  const name = `plugins of "${network.name}"`;
  const types = [...new Set(network.plugins.flatMap(typesOf))];
  const programs = types.map((type) => directories.map((directory) => join(directory, type)).find(machine.exists));
  const missing = types.filter((_, at) => programs[at] === undefined);
  if (missing.length > 0) {
    const mend = "install them (package containernetworking-plugins), or set bin_dirs";
    return fail(name, `${missing.join(", ")} not in ${directories.join(", ")}`, mend);
  }
  const wrong: string[] = [];
  for (const [at, program] of programs.entries()) {
    if (program !== undefined && !(await speaks(machine, program, network.cniVersion))) wrong.push(types[at] ?? "");
  }
  if (wrong.length === 0) return ok(name, types.join(", "));
  return fail(
    name,
    `${wrong.join(", ")} without version ${network.cniVersion} of CNI`,
    "install newer ones, or lower cniVersion in the configuration",
  );
}

function typesOf({ type, ipam }: NetworkPlugin): string[] {
  const address = typeof ipam === "object" && ipam !== null && "type" in ipam ? ipam.type : undefined;
  return typeof address === "string" ? [type, address] : [type];
}

/** CNI specification, section 2, VERSION. */
async function speaks(machine: Machine, program: string, version: string): Promise<boolean> {
  const { output } = await machine.run([program], { CNI_COMMAND: "VERSION" });
  try {
    const answer: unknown = JSON.parse(output);
    if (typeof answer !== "object" || answer === null || !("supportedVersions" in answer)) return false;
    return Array.isArray(answer.supportedVersions) && answer.supportedVersions.includes(version);
  } catch {
    return false;
  }
}

const forwarding: Check = ({ read }) => {
  if (read("/proc/sys/net/ipv4/ip_forward")?.trim() === "1") return ok("forwarding", "on");
  const detail = "off: pods don't reach beyond this node, nor others them";
  return fail("forwarding", detail, "sysctl -w net.ipv4.ip_forward=1, and write it to /etc/sysctl.d/");
};

const forwarding6: Check = ({ read }) => {
  const value = read("/proc/sys/net/ipv6/conf/all/forwarding")?.trim();
  if (value === "1") return ok("forwarding of IPv6", "on");
  if (value === undefined)
    return warn(
      "forwarding of IPv6",
      "the kernel has no IPv6",
      "boot without ipv6.disable=1 for networks of two families",
    );
  return warn(
    "forwarding of IPv6",
    "off: it matters in networks of two families",
    "sysctl -w net.ipv6.conf.all.forwarding=1",
  );
};

const bridged: Check = ({ read }) => {
  const name = "filtering on bridges";
  const value = read("/proc/sys/net/bridge/bridge-nf-call-iptables")?.trim();
  if (value === "1") return ok(name, "on");
  const detail = "off: services don't reach pods of their own node, in networks made of bridges";
  return warn(name, detail, "modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1");
};

const filter: Check = ({ find }) => {
  const found = ["nft", "iptables"].filter((program) => find(program) !== undefined);
  if (found.length > 0) return ok("packet filter", found.join(", "));
  const detail = "neither nft nor iptables is installed: host ports and masquerading need one";
  return warn("packet filter", detail, "install nftables or iptables");
};

const resolver: Check = ({ read, exists }) => {
  const text = read("/etc/resolv.conf");
  if (text === undefined)
    return warn("resolver", "/etc/resolv.conf can't be read: pods of policy Default have none", "write one");
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server = ""]) => server);
  if (servers.length === 0) return warn("resolver", "/etc/resolv.conf names no server", "name one");
  if (!servers.every((server) => server.startsWith("127.") || server === "::1"))
    return ok("resolver", servers.join(", "));
  const other = exists("/run/systemd/resolve/resolv.conf");
  const mend = other
    ? "give the kubelet resolvConf: /run/systemd/resolve/resolv.conf"
    : "give the kubelet a resolvConf with other servers";
  return warn("resolver", `${servers.join(", ")} is this host's own, out of reach for pods`, mend);
};

export const networkChecks: readonly Check[] = [configuration, forwarding, forwarding6, bridged, filter, resolver];
