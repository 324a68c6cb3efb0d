/**
 * Pulls an image by the daemon, as a client of containerd's transfer service; as a program too, so that a test can kill it:
 *
 *   bun transfer.ts ADDRESS REFERENCE
 */
import { TransferDefinition } from "@hull/api/gen/containerd/services/transfer/v1/transfer";
import { ImageStore } from "@hull/api/gen/containerd/types/transfer/imagestore";
import { OCIRegistry } from "@hull/api/gen/containerd/types/transfer/registry";
import { encodeAny } from "@hull/api/typeurl";
import { connect } from "@hull/client/client";

export interface DaemonPull {
  plainHttp?: boolean;
  /** directory of hosts.toml files */
  hostDirectory?: string;
  signal?: AbortSignal;
}

export async function pullByDaemon(address: string, reference: string, options: DaemonPull = {}): Promise<void> {
  await using client = await connect({ address });
  const source = OCIRegistry.fromPartial({
    reference,
    resolver: { hostDir: options.hostDirectory ?? "", defaultScheme: options.plainHttp === false ? "" : "http" },
  });
  const platform = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
  const destination = ImageStore.fromPartial({
    name: reference,
    platforms: [platform],
    unpacks: [{ snapshotter: "overlayfs", platform }],
  });
  await client.service(TransferDefinition).transfer(
    {
      source: encodeAny("containerd.types.transfer.OCIRegistry", OCIRegistry, source),
      destination: encodeAny("containerd.types.transfer.ImageStore", ImageStore, destination),
    },
    { signal: options.signal },
  );
}

if (import.meta.main) {
  const [address = "", reference = ""] = process.argv.slice(2);
  await pullByDaemon(address, reference);
}
