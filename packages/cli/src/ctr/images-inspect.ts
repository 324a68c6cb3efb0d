import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import type { Timestamp } from "@hull/api/timestamp";
import type { Client } from "@hull/client/client";
import { readBlob } from "@hull/client/content";
import { isCode } from "@hull/errors";
import { type Descriptor, formatPlatform } from "@hull/oci";
import { childrenOf, maxConfigSize, maxManifestSize, parseDocument } from "@hull/oci/manifest";
import { isConfig, isIndex, isLayer, isManifest } from "@hull/oci/media-types";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { imagesInspect } from "./flags.ts";
import { targetOf } from "./images.ts";

/** Prints an image as the tree of what its target leads to. */
export const inspectImage: CtrAction<typeof imagesInspect> = async ({ flags, args: [name = ""], globals, host }) => {
  if (name === "") throw new CtrError("please provide an image reference to inspect");
  return await withClient(globals, async (client) => {
    const { image } = await client.service(ImagesDefinition).get({ name });
    if (image === undefined) throw new CtrError(`image "${name}" came without its record`);
    const lines = [
      image.name,
      `│    Created: ${formatTime(image.createdAt)}`,
      `│    Updated: ${formatTime(image.updatedAt)}`,
    ];
    await describe(client, targetOf(image), { lines, indent: "", last: true, content: flags.content });
    await host.out(`${lines.join("\n")}\n`);
    return 0;
  });
};

interface Place {
  readonly lines: string[];
  readonly indent: string;
  readonly last: boolean;
  readonly content: boolean;
}

async function describe(
  client: Client,
  descriptor: Descriptor,
  { lines, indent, last, content }: Place,
): Promise<void> {
  const { mediaType, digest, size, platform } = descriptor;
  lines.push(`${indent}${last ? "└──" : "├──"} ${mediaType} @${digest} (${size} bytes)`);
  const below = `${indent}${last ? "    " : "│   "}`;
  const children = await childrenHere(client, descriptor);
  const beside = `${below}${children.length > 0 ? "│   " : ""}`;
  if (platform !== undefined) lines.push(`${beside} Platform: ${formatPlatform(platform)}`);
  // Of a layer there is nothing to read, and only the labels of its moves.
  if (content && !isLayer(mediaType)) lines.push(...(await details(client, descriptor, beside)));
  for (const [at, child] of children.entries())
    await describe(client, child, { lines, indent: below, last: at === children.length - 1, content });
}

/** What a manifest or index refers to; nothing for all else, and for what isn't here. */
async function childrenHere(client: Client, { mediaType, digest }: Descriptor): Promise<Descriptor[]> {
  if (!isManifest(mediaType) && !isIndex(mediaType)) return [];
  try {
    return childrenOf(parseDocument(`content "${digest}"`, await readBlob(client, digest, maxManifestSize), mediaType));
  } catch (error) {
    if (isCode(error, "notFound")) return [];
    throw error;
  }
}

async function details(client: Client, { mediaType, digest }: Descriptor, indent: string): Promise<string[]> {
  const lines: string[] = [];
  const box = (title: string, inside: readonly string[]): void => {
    lines.push(`${indent}┌${`${"─".repeat(8)}${title}`.padEnd(23, "─")}`);
    lines.push(...inside.map((line) => `${indent}│${line}`), `${indent}└${"─".repeat(23)}`);
  };
  try {
    const { info } = await client.service(ContentDefinition).info({ digest });
    const labels = Object.entries(info?.labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    if (labels.length > 0)
      box(
        "Labels",
        labels.map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`),
      );
    if (!isManifest(mediaType) && !isIndex(mediaType) && !isConfig(mediaType)) return lines;
    const json: unknown = JSON.parse(new TextDecoder().decode(await readBlob(client, digest, maxConfigSize)));
    box("Content", JSON.stringify(json, undefined, 3).split("\n"));
    return lines;
  } catch (error) {
    if (isCode(error, "notFound")) return lines;
    throw error;
  }
}

/** As Go prints a time in UTC: `2026-01-02 03:04:05.000000001 +0000 UTC`. */
function formatTime({ seconds, nanos }: Timestamp = { seconds: 0n, nanos: 0 }): string {
  const [date = "", time = ""] = new Date(Number(seconds) * 1000).toISOString().slice(0, 19).split("T");
  const fraction = nanos === 0 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  return `${date} ${time}${fraction} +0000 UTC`;
}
