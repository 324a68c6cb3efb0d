import { dirname, join } from "node:path";
import { type ChosenNetwork, chooseNetwork } from "@hull/client/network/index";
import { hasNames, memberName, networkNamed } from "@hull/client/network/networks";
import { parsePorts } from "@hull/client/network/ports";
import { invalidArgument } from "@hull/errors";
import { type Globals, placeOf } from "../globals.ts";

/**
 * What the flags of `run` say of the network.
 * @throws NotFound for a network that isn't there; FailedPrecondition for programs that aren't installed; InvalidArgument
 */
export async function networkOf(
  { network, publish }: { network: string | undefined; publish: readonly string[] },
  env: Readonly<Record<string, string | undefined>>,
): Promise<ChosenNetwork> {
  if ((network === "none" || network === "host") && publish.length > 0)
    throw invalidArgument(`ports can't be published with --network ${network}: leave -p out, or use --network bridge`);
  return await chooseNetwork({ name: network, ports: publish.flatMap(parsePorts) }, env);
}

/** Where network namespaces are held while containers are on networks. */
export const heldNamespaces = (globals: Globals): string => join(dirname(placeOf(globals).address), "netns");

/** The other names that a container is to have on its network. @throws InvalidArgument where containers have no names, or for one that is none */
export function aliasesOf(
  { "network-alias": aliases }: { "network-alias": readonly string[] },
  network: string,
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const wrong = aliases.find((alias) => !memberName.test(alias));
  if (wrong !== undefined) throw invalidArgument(`network alias "${wrong}": use letters, digits, "-", "_" and "."`);
  if (aliases.length > 0 && !hasNames(networkNamed(network, env), env))
    throw invalidArgument(`containers have no names on network "${network}": make one with "hull network create"`);
  return aliases;
}
