import { open, rename, rm } from "node:fs/promises";
import { exportImages } from "@hull/client/transfer";
import { HullError, invalidArgument } from "@hull/errors";
import { hostPlatform, parsePlatform } from "@hull/oci/platform";
import { findImages, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { openSession } from "../session.ts";

/** `hull save [-o FILE] IMAGE…` */
export async function save(call: Call<{ output: string | undefined; platform: string | undefined }>): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "an image is");
  const { output } = flags;
  if (output === undefined && process.stdout.isTTY)
    throw invalidArgument("an archive is nothing for a terminal: give a file with -o, or send the output elsewhere");
  const platforms = [flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform)];
  await using client = await openSession(call);
  const names: string[] = [];
  for (const text of args) names.push(...(await findImages(client, text)).map(({ name }) => name));
  const archive = exportImages(client, [...new Set(names)], { platforms });
  if (output === undefined) for await (const bytes of archive) await host.out(bytes);
  else await writeWhole(output, archive);
  return 0;
}

/** Writes a file that is there whole, or not at all. */
async function writeWhole(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const next = `${path}.part-${process.pid}`;
  const file = await open(next, "wx").catch((cause: unknown) => {
    throw invalidArgument(`archive "${path}" can't be written: ${HullError.from(cause).message}`, { cause });
  });
  try {
    for await (const chunk of bytes) await file.writeFile(chunk);
    await file.close();
    await rename(next, path);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(next, { force: true });
    throw error;
  }
}
