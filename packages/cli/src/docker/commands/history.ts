import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { platformImage } from "@hull/client/images";
import { isCode } from "@hull/errors";
import { chainIds } from "@hull/oci/digest";
import { findImages, needArguments } from "../find.ts";
import { formatAgo, formatList, formatSize } from "../format.ts";
import type { Call } from "../globals.ts";
import { openSession } from "../session.ts";

const commandWidth = 45;

/** `hull history IMAGE`: its steps, the last one first, with what each added on disk. */
export async function history(call: Call<{ quiet: boolean; "no-trunc": boolean }>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, 1, "an image is");
  await using client = await openSession(call);
  const [image] = await findImages(client, args[0] ?? "");
  if (image === undefined) return 1;
  const { config, manifest } = await platformImage(client, image.target);
  const keys = chainIds(config.diffIds);
  const id = flags["no-trunc"] ? image.target.digest : image.target.digest.replace(/^sha256:/, "").slice(0, 12);
  // An image need not tell its history; its layers are there all the same.
  const steps = config.history.length > 0 ? config.history : keys.map(() => ({ emptyLayer: false }));
  const rows: string[][] = [];
  let layer = 0;
  for (const { created, createdBy = "", comment = "", emptyLayer } of steps as typeof config.history) {
    const size = emptyLayer ? 0 : await sizeOf(layer++);
    const command = createdBy.replaceAll(/\s+/g, " ");
    rows.push([
      "<missing>",
      created === undefined ? "N/A" : formatAgo(new Date(created)),
      flags["no-trunc"] || command.length <= commandWidth ? command : `${command.slice(0, commandWidth - 1)}…`,
      formatSize(size),
      comment,
    ]);
  }
  rows.reverse();
  // What is below the top has no image of its own.
  const [top] = rows;
  if (top !== undefined) top[0] = id;
  if (flags.quiet) await host.out(rows.map(([first]) => `${first}\n`).join(""));
  else await host.out(formatList([["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], ...rows]));
  return 0;

  /** Bytes of a layer's files; of its blob where it isn't unpacked. */
  async function sizeOf(at: number): Promise<number> {
    try {
      const key = keys[at] ?? "";
      const { size } = await client.service(SnapshotsDefinition).usage({ snapshotter: globals.snapshotter, key });
      return Number(size);
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
      return manifest.layers[at]?.size ?? 0;
    }
  }
}
