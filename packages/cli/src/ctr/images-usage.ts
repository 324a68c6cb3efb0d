import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { getImage, platformImage } from "@hull/client/images";
import { HullError } from "@hull/errors";
import { chainIds } from "@hull/oci/digest";
import { formatBytes, formatTable } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { imagesUsage } from "./flags.ts";
import { defaultSnapshotter } from "./globals.ts";

/** What the snapshots of an image's layers take on disk, the topmost first. */
export const imageUsage: CtrAction<typeof imagesUsage> = async ({ flags, args: [name = ""], globals, host }) => {
  if (name === "") throw new CtrError("please provide an image reference to mount");
  const snapshotter = flags.snapshotter ?? defaultSnapshotter;
  return await withClient(globals, async (client) => {
    const image = await getImage(client, name).catch((error: unknown) => {
      const { code, message } = HullError.from(error);
      throw new HullError(code, `failed to ensure if image ${name} exists: ${message}`, { cause: error });
    });
    const { config } = await platformImage(client, image.target);
    const rows: string[][] = [];
    for (const key of chainIds(config.diffIds).reverse()) {
      const { size, inodes } = await client.service(SnapshotsDefinition).usage({ snapshotter, key });
      rows.push([key, formatBytes(Number(size)), String(inodes)]);
    }
    await host.out(formatTable([["KEY", "SIZE", "INODES"], ...rows]));
    return 0;
  });
};
