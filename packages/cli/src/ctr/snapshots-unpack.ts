import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { platformImage } from "@hull/client/images";
import { unpackImage } from "@hull/client/unpack";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { checkDigest } from "./content.ts";
import { CtrError } from "./errors.ts";
import type { snapshotsUnpack } from "./flags.ts";
import { targetOf } from "./images.ts";
import { snapshotterOf } from "./snapshots.ts";

/** Unpacks the image whose target has the digest. */
export const unpackSnapshot: CtrAction<typeof snapshotsUnpack> = ({ flags, args: [digest = ""], globals, host }) => {
  checkDigest(digest);
  const snapshotter = flags.snapshotter ?? snapshotterOf(globals);
  return withClient(globals, async (client) => {
    const { images } = await client.service(ImagesDefinition).list({ filters: [] });
    const target = images.map(targetOf).find((candidate) => candidate.digest === digest);
    if (target === undefined) throw new CtrError("manifest not found");
    await host.out(`unpacking ${digest} (${target.mediaType})...`);
    try {
      await unpackImage(client, await platformImage(client, target), { snapshotter, syncFs: flags["sync-fs"] });
    } catch (error) {
      await host.out("\n");
      throw error;
    }
    await host.out("done\n");
    return 0;
  });
};
