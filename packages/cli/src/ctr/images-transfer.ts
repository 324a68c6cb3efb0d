import { accessSync, constants, createReadStream } from "node:fs";
import { getImage, platformImage, snapshotOf } from "@hull/client/images";
import { readShared } from "@hull/client/io/pump";
import { importImages, type PullOptions, pullImage } from "@hull/client/transfer";
import type { Platform } from "@hull/oci/descriptor";
import { hostPlatform, parsePlatform } from "@hull/oci/platform";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { imagesImport, imagesPull } from "./flags.ts";
import { defaultSnapshotter } from "./globals.ts";
import { parseLabels } from "./labels.ts";
import { TransferDisplay } from "./transfer-display.ts";

export const importArchive: CtrAction<typeof imagesImport> = async ({ flags, args: [path = ""], globals, host }) => {
  const archive = openArchive(path);
  const today = new Date().toISOString().slice(0, 10);
  return await withClient(globals, async (client) => {
    const unpack = flags["no-unpack"] ? undefined : (flags.snapshotter ?? defaultSnapshotter);
    const platforms = flags["all-platforms"]
      ? []
      : flags.platform === undefined
        ? undefined
        : [parsePlatform(flags.platform)];
    const names = await importImages(client, archive, {
      baseName: flags["base-name"] ?? `import-${today}`,
      digests: flags.digests,
      ...(flags["index-name"] === undefined ? {} : { indexName: flags["index-name"] }),
      ...(platforms === undefined ? {} : { platforms }),
      ...(unpack === undefined ? {} : { unpack }),
    });
    for (const name of names) {
      const { target } = await getImage(client, name);
      const done = unpack === undefined ? "" : "...done";
      await host.out(`${unpack === undefined ? "imported" : "unpacking"} ${name} (${target.digest})${done}\n`);
    }
    return 0;
  });
};

/** The archive's bytes. A path that can't be read is told at once, before the daemon is asked for anything. */
function openArchive(path: string): AsyncIterable<Uint8Array> {
  if (path === "-") return readShared(0, { keepAlive: true });
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") throw new CtrError(`open ${path}: no such file or directory`);
    if (code === "EACCES") throw new CtrError(`open ${path}: permission denied`);
    throw error;
  }
  return createReadStream(path, { highWaterMark: 1024 * 1024, autoClose: true });
}

export const pull: CtrAction<typeof imagesPull> = async ({ flags, args: [reference = ""], globals, host }) => {
  if (reference === "") throw new CtrError("please provide an image reference to pull");
  const platforms: Platform[] = flags.platform.map((text) => parsePlatform(text));
  const chosen = flags["all-platforms"] ? [] : platforms.length > 0 ? platforms : [hostPlatform()];
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    return await withClient(globals, async (client) => {
      using display = new TransferDisplay(host);
      await pullImage(client, reference, {
        plainHttp: flags["plain-http"],
        labels: parseLabels(flags.label),
        platforms: chosen,
        unpack: flags.snapshotter ?? defaultSnapshotter,
        signal: interrupt.signal,
        onProgress: (progress) => display.show(progress),
        ...credentialsOf(flags.user, flags.refresh),
      });
      display.finish();
      if (flags["print-chainid"]) {
        for (const platform of chosen.length > 0 ? chosen : [hostPlatform()]) {
          const image = await platformImage(client, (await getImage(client, reference)).target, platform);
          await host.out(`image chain ID: ${snapshotOf(image)}\n`);
        }
      }
      return 0;
    });
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
};

function credentialsOf(user: string | undefined, refresh: string | undefined): Pick<PullOptions, "credentials"> {
  if (refresh !== undefined) return { credentials: { refreshToken: refresh } };
  if (user === undefined) return {};
  const colon = user.indexOf(":");
  if (colon < 0) throw new CtrError(`--user "${user}" has no password: write "user:password"`);
  return { credentials: { username: user.slice(0, colon), secret: user.slice(colon + 1) } };
}
