import type { Any } from "@hull/api/gen/google/protobuf/any";
import { encodeJsonAny } from "@hull/api/typeurl";
import type { Container } from "@hull/client/containers";
import { cniIn, configurationsIn } from "@hull/client/network/networks";
import { type Attachment, type Cni, loadNetworks, type Network } from "@hull/cni";
import { CtrError } from "./errors.ts";

/** How containerd's ctr marks a container that it put on a network, so that deleting its task takes it off again. */
const extension = "ctr.cni-containerd.metadata";
const metadataType = "github.com/containerd/containerd/v2/cmd/ctr/commands/NetworkMetaData";

/** For a container's record. */
export const networkExtensions: Readonly<Record<string, Any>> = {
  [extension]: encodeJsonAny(metadataType, { EnableCni: true }),
};

/** True for a container that was put on a network. */
export const isOnNetwork = ({ extensions }: Container): boolean => extensions[extension] !== undefined;

/**
 * The network of this host that containers are put on with `--cni`: the first of the directory of CNI's configurations, which
 * $NETCONFPATH changes as $CNI_PATH does the directories of plugins.
 */
export class HostNetwork {
  readonly #cni: Cni;
  readonly #network: Network;

  /** @throws CtrError if there is none */
  constructor(env: Readonly<Record<string, string | undefined>>) {
    const directory = configurationsIn(env);
    const [network] = loadNetworks(directory, { most: 1 });
    if (network === undefined)
      throw new CtrError(
        `no network config found in ${directory}: cni plugin not initialized: failed to load cni config`,
      );
    this.#network = network;
    this.#cni = cniIn(env);
  }

  /** @throws CniError */
  async attach(namespace: string, id: string, pid: number): Promise<void> {
    await this.#cni.add(this.#network, attachment(namespace, id, `/proc/${pid}/ns/net`));
  }

  /** @throws CniError */
  async detach(namespace: string, id: string): Promise<void> {
    await this.#cni.remove(this.#network, attachment(namespace, id, ""));
  }
}

const attachment = (namespace: string, id: string, netns: string): Attachment => ({
  containerId: `${namespace}-${id}`,
  netns,
  interfaceName: "eth0",
});
