import { join } from "node:path";
import { failedPrecondition, invalidArgument } from "@hull/errors";
import type { SpecMiddleware } from "@hull/oci/spec";
import { which } from "@hull/sys/program";
import { chooseNetwork, heldNamespace, networkLabels, networkSteps } from "../network/index.ts";
import type { AllowedPeer, Isolation } from "./options.ts";

export interface SandboxNetwork {
  readonly labels: Readonly<Record<string, string>>;
  readonly steps: readonly SpecMiddleware[];
}

/**
 * A bridge of the host, and rules in the sandbox's own network namespace that let nothing pass but what is allowed. The rules are there before
 * the program is, and it hasn't the capability to change them.
 *
 * @throws FailedPrecondition, naming it, for a program of the host that is missing; InvalidArgument for an address that is none
 */
export async function allowedNetwork(
  allow: readonly AllowedPeer[],
  { id, namespace, folder, isolation }: { id: string; namespace: string; folder: string; isolation: Isolation },
): Promise<SandboxNetwork> {
  const rules = rulesOf(allow);
  if (isolation === "gvisor")
    throw failedPrecondition(
      'gVisor has a network of its own, which the host\'s rules don\'t hold: use network "none", or isolation "container"',
    );
  const [nsenter, nft] = [needed("nsenter", "util-linux"), needed("nft", "nftables")];
  const place = { namespace, id, env: process.env, directory: join(folder, "netns") };
  const chosen = await chooseNetwork({ name: "bridge", ports: [] }, process.env);
  const args = [nsenter, `--net=${heldNamespace(place)}`, nft, rules];
  return {
    labels: networkLabels(chosen, place),
    steps: [
      ...networkSteps(chosen, place),
      (spec) => ({
        ...spec,
        hooks: {
          ...spec.hooks,
          createRuntime: [...(spec.hooks?.createRuntime ?? []), { path: nsenter, args, timeout: 10 }],
        },
      }),
    ],
  };
}

function needed(program: string, debian: string): string {
  const path = which(program);
  if (path !== null) return path;
  throw failedPrecondition(
    `a sandbox's list of allowed addresses needs "${program}": install it (Debian: apt-get install ${debian}), or use network "none"`,
  );
}

/** The rules as nft(8) reads them, in one line. @throws InvalidArgument */
export function rulesOf(allow: readonly AllowedPeer[]): string {
  const accepted = allow.map(({ address, port, protocol = "tcp" }) => {
    if (!isAddress(address))
      throw invalidArgument(
        `allowed address "${address}" must be one of IPv4, or a range of them, as in "10.1.0.0/16"`,
      );
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw invalidArgument(`allowed port ${port} is none: they are 1 to 65535`);
    if (protocol !== "tcp" && protocol !== "udp")
      throw invalidArgument(`allowed protocol "${String(protocol)}" must be "tcp" or "udp"`);
    return `add rule inet sandbox out ip daddr ${address} ${protocol} dport ${port} accept`;
  });
  return [
    "add table inet sandbox",
    "add chain inet sandbox in { type filter hook input priority 0 ; policy drop ; }",
    "add chain inet sandbox out { type filter hook output priority 0 ; policy drop ; }",
    'add rule inet sandbox in iif "lo" accept',
    "add rule inet sandbox in ct state established,related accept",
    'add rule inet sandbox out oif "lo" accept',
    "add rule inet sandbox out ct state established,related accept",
    ...accepted,
  ].join(" ; ");
}

function isAddress(text: string): boolean {
  const [, address, bits = "32"] = /^(\d{1,3}(?:\.\d{1,3}){3})(?:\/(\d{1,2}))?$/.exec(text) ?? [];
  return address !== undefined && Number(bits) <= 32 && address.split(".").every((part) => Number(part) <= 255);
}
