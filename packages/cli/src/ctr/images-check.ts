import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import type { Client } from "@hull/client/client";
import { isUnpacked, type PlatformImage, platformImage } from "@hull/client/images";
import { HullError, isCode } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { formatBytes, formatColumns } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { withClass } from "./errors.ts";
import type { imagesCheck } from "./flags.ts";
import { defaultSnapshotter } from "./globals.ts";
import { isHere } from "./image-survey.ts";
import { targetOf } from "./images.ts";

interface Check {
  readonly status: string;
  readonly size: string;
  readonly unpacked: boolean;
  readonly complete: boolean;
}

export const checkImages: CtrAction<typeof imagesCheck> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    const { images } = await client.service(ImagesDefinition).list({ filters: [...args] });
    if (images.length === 0) return 0;
    const rows: string[][] = [];
    for (const image of images) {
      const target = targetOf(image);
      const { status, size, unpacked, complete } = await check(client, target, flags.snapshotter ?? defaultSnapshotter);
      if (!flags.quiet) rows.push([image.name, target.mediaType, target.digest, status, size, String(unpacked)]);
      else if (complete && unpacked) await host.out(`${image.name}\n`);
    }
    if (!flags.quiet) {
      const lines = rows.map((row) => `${row.join("\t")}\n`).join("");
      await host.out(formatColumns(`REF\tTYPE\tDIGEST\tSTATUS\tSIZE\tUNPACKED\t\n${lines}`));
    }
    return 0;
  });

async function check(client: Client, target: Descriptor, snapshotter: string): Promise<Check> {
  let image: PlatformImage;
  try {
    image = await platformImage(client, target);
  } catch (error) {
    if (!isCode(error, "notFound")) {
      return { status: withClass(HullError.from(error)), size: "-", unpacked: false, complete: false };
    }
    return { status: "unavailable (0/?)", size: `0.0 B/?`, unpacked: false, complete: false };
  }
  const needed = [image.manifest.config, ...image.manifest.layers];
  const present = await Promise.all(needed.map((each) => isHere(client, each)));
  const here = needed.filter((_, at) => present[at]);
  const bytes = (of: readonly Descriptor[]): string => formatBytes(of.reduce((sum, { size }) => sum + size, 0));
  const complete = here.length === needed.length;
  return {
    status: `${complete ? "complete" : "incomplete"} (${here.length}/${needed.length})`,
    size: `${bytes(here)}/${bytes(needed)}`,
    unpacked: await isUnpacked(client, image, snapshotter),
    complete,
  };
}
