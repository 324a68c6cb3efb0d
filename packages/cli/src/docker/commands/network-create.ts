import { requirePrograms } from "@hull/client/network/networks";
import { createNetwork, type NetworkWishes } from "@hull/client/network/own-networks";
import { invalidArgument } from "@hull/errors";
import { needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { pairOf } from "../pair.ts";
import type { CreateNetworkFlags } from "../program-networks.ts";

/** `hull network create` */
export async function createNetworks({ args, flags, host }: Call<CreateNetworkFlags>): Promise<number> {
  needArguments(args, 1, 1, "the network's name is");
  const [name = ""] = args;
  if (flags.driver !== "bridge")
    throw invalidArgument(
      `network driver "${flags.driver}" is not known: there is only bridge; a configuration of CNI makes any other network`,
    );
  const wishes: NetworkWishes = {
    subnets: flags.subnet,
    gateways: flags.gateway,
    ranges: flags["ip-range"],
    ipv6: flags.ipv6,
    internal: flags.internal,
    labels: Object.fromEntries(flags.label.map(pairOf)),
    ...optionsOf(flags.opt.map(pairOf)),
  };
  const { network } = createNetwork(name, wishes, host.env);
  try {
    requirePrograms(network, host.env);
  } catch (error) {
    host.err(
      `hull: network "${name}" is made, but can't be used yet: ${error instanceof Error ? error.message : error}\n`,
    );
  }
  await host.out(`${name}\n`);
  return 0;
}

/** The options of docker's bridge that are served. @throws InvalidArgument for any other */
function optionsOf(options: readonly (readonly [string, string])[]): Pick<NetworkWishes, "mtu" | "bridge"> {
  const found: { mtu?: number; bridge?: string } = {};
  for (const [key, value] of options)
    if (key === "com.docker.network.driver.mtu") found.mtu = Number(value);
    else if (key === "com.docker.network.bridge.name") found.bridge = value;
    else
      throw invalidArgument(
        `network option "${key}" is not known: there are com.docker.network.driver.mtu and com.docker.network.bridge.name`,
      );
  return found;
}
