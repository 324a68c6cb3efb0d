import { type ChosenNetwork, chooseNetwork } from "@hull/client/network/index";
import { parsePorts } from "@hull/client/network/ports";
import { invalidArgument } from "@hull/errors";

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
