import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failedPrecondition } from "@hull/errors";
import { type SpecMiddleware, withMounts } from "@hull/oci/spec";
import { which } from "@hull/sys/program";
import { chooseNetwork, heldNamespace, networkLabels, networkSteps } from "../network/index.ts";
import { hostsHead } from "../network/names.ts";
import { hostHasIpv6, ownBridges } from "../network/networks.ts";
import type { AllowedPeer, Isolation } from "./options.ts";
import { hostLinesOf, type Peer, peersOf, rulesOf } from "./peers.ts";

export interface SandboxNetwork {
  readonly labels: Readonly<Record<string, string>>;
  readonly steps: readonly SpecMiddleware[];
}

/**
 * A bridge of the host, and rules in the sandbox's own network namespace that let nothing pass but what is allowed. The rules are there before
 * the program is, and it hasn't the capability to change them.
 *
 * @throws FailedPrecondition, naming it, for a program of the host that is missing; otherwise as `peersOf`
 */
export async function allowedNetwork(
  allow: readonly AllowedPeer[],
  { id, namespace, folder, isolation }: { id: string; namespace: string; folder: string; isolation: Isolation },
): Promise<SandboxNetwork> {
  const peers = await peersOf(allow, { ipv6: hostHasIpv6() });
  if (isolation === "gvisor")
    throw failedPrecondition(
      'gVisor has a network of its own, which the host\'s rules don\'t hold: use network "none", or isolation "container"',
    );
  const [nsenter, nft] = [needed("nsenter", "util-linux"), needed("nft", "nftables")];
  const place = { namespace, id, env: process.env, directory: join(folder, "netns") };
  const name = ownBridges[peers.some(({ family }) => family === 6) ? 6 : 4];
  const chosen = await chooseNetwork({ name, ports: [] }, process.env);
  const args = [nsenter, `--net=${heldNamespace(place)}`, nft, rulesOf(peers)];
  return {
    labels: networkLabels(chosen, place),
    steps: [
      ...networkSteps(chosen, place),
      ...hostsOf(peers, folder),
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

/** Names of the list are known inside, by a file in the sandbox's folder. */
function hostsOf(peers: readonly Peer[], folder: string): SpecMiddleware[] {
  const lines = hostLinesOf(peers);
  if (lines.length === 0) return [];
  const source = join(folder, "hosts");
  writeFileSync(source, `${hostsHead}${lines.join("\n")}\n`, { mode: 0o644 });
  chmodSync(source, 0o644);
  return [withMounts([{ type: "bind", source, destination: "/etc/hosts", options: ["rbind", "ro"] }])];
}

function needed(program: string, debian: string): string {
  const path = which(program);
  if (path !== null) return path;
  throw failedPrecondition(
    `a sandbox's list of allowed addresses needs "${program}": install it (Debian: apt-get install ${debian}), or use network "none"`,
  );
}
