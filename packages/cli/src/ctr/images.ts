import { type Image, ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { fromWireDescriptor } from "@hull/client/images";
import { HullError, isCode } from "@hull/errors";
import { formatBytes, formatTable, type Host } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError, withClass } from "./errors.ts";
import type { imagesLabel, imagesList, imagesRemove, imagesTag } from "./flags.ts";
import { surveyImage } from "./image-survey.ts";
import { formatLabels, parseLabels } from "./labels.ts";
import { logLine } from "./log.ts";

export const listImages: CtrAction<typeof imagesList> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    const { images } = await client.service(ImagesDefinition).list({ filters: [...args] });
    if (flags.quiet) {
      await host.out(images.map(({ name }) => `${name}\n`).join(""));
      return 0;
    }
    const rows = await Promise.all(
      images.map(async (image) => {
        const { name, labels } = image;
        const target = targetOf(image);
        const { size, platforms, error } = await surveyImage(client, target);
        if (error !== undefined) logLine(host, "error", `failed calculating size for image ${name}`, { error });
        return [
          name,
          target.mediaType,
          target.digest,
          size === undefined ? "-" : formatBytes(size),
          platforms.join(",") || "-",
          formatLabels(labels) || "-",
        ];
      }),
    );
    await host.out(formatTable([["REF", "TYPE", "DIGEST", "SIZE", "PLATFORMS", "LABELS"], ...rows]));
    return 0;
  });

/** @throws HullError Internal for a record without a target */
export function targetOf({ name, target }: Image) {
  if (target === undefined) throw new HullError("internal", `the record of image "${name}" has no target`);
  return fromWireDescriptor(target);
}

export const removeImages: CtrAction<typeof imagesRemove> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    let failed: unknown;
    for (const [at, name] of args.entries()) {
      try {
        // One collection for all is enough.
        await client.service(ImagesDefinition).delete({ name, sync: flags.sync && at === args.length - 1 });
        await host.out(`${name}\n`);
      } catch (error) {
        failed = await noteRemoval(host, name, error, failed);
      }
    }
    if (failed !== undefined) throw failed;
    return 0;
  });

async function noteRemoval(host: Host, name: string, error: unknown, failed: unknown): Promise<unknown> {
  if (isCode(error, "notFound")) {
    logLine(host, "warning", `${name}: image not found`);
    return failed;
  }
  logLine(host, "error", `unable to delete ${name}`, { error: withClass(HullError.from(error)) });
  return failed ?? error;
}

export const tagImage: CtrAction<typeof imagesTag> = async ({ flags, args: [from, ...names], globals, host }) => {
  if (from === undefined || from === "") throw new CtrError("please provide an image reference to tag from");
  if (names.length === 0) throw new CtrError("please provide an image reference to tag to");
  return await withClient(globals, async (client) => {
    const images = client.service(ImagesDefinition);
    const { image } = await images.get({ name: from });
    for (const name of names) {
      try {
        await images.create({ image: { ...image, name } });
      } catch (error) {
        if (!flags.force || !isCode(error, "alreadyExists")) throw error;
        await images.delete({ name });
        await images.create({ image: { ...image, name } });
      }
      await host.out(`${name}\n`);
    }
    return 0;
  });
};

export const labelImage: CtrAction<typeof imagesLabel> = async ({ flags, args: [name, ...texts], globals, host }) => {
  if (name === undefined || name === "") throw new CtrError("please specify an image");
  return await withClient(globals, async (client) => {
    const labels = parseLabels(texts);
    const paths = flags["replace-all"] ? ["labels"] : Object.keys(labels).map((key) => `labels.${key}`);
    const { image } = await client.service(ImagesDefinition).update({ image: { name, labels }, updateMask: paths });
    await host.out(`${formatLabels(image?.labels ?? {})}\n`);
    return 0;
  });
};
