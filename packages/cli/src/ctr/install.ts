import { createWriteStream, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import type { Client } from "@hull/client/client";
import { readContent } from "@hull/client/content";
import { getImage, platformImage } from "@hull/client/images";
import { detectCompression } from "@hull/engine/diff/compression/index";
import { readTar, type TarMember, text } from "@hull/engine/diff/tar/index";
import { isErrno } from "@hull/sys/errno";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { install as installFlags } from "./flags.ts";

/** Puts the programs of an image, and with `--libs` its libraries, into the daemon's directory of optional programs. */
export const install: CtrAction<typeof installFlags> = ({ flags, args: [ref = ""], globals }) =>
  withClient(globals, async (client) => {
    const image = await platformImage(client, (await getImage(client, ref)).target);
    const path = flags.path ?? (await optDirectory(client));
    const wanted = flags.libs ? ["bin", "lib"] : ["bin"];
    for (const { digest } of image.manifest.layers) {
      for await (const member of readTar(layerBytes(client, digest))) {
        const name = normalize(text(member.name)).replace(/^\/+/, "");
        if (!wanted.includes(dirname(name))) continue;
        if (!flags.replace && exists(join(path, name))) throw new CtrError(`cannot replace ${name} in ${path}`);
        await place(join(path, name), member);
      }
    }
    return 0;
  });

/** @throws CtrError */
async function optDirectory(client: Client): Promise<string> {
  const { plugins } = await client.service(IntrospectionDefinition).plugins({ filters: ["id==opt"] });
  const [plugin, ...others] = plugins;
  if (plugin === undefined || others.length > 0) throw new CtrError("opt service not enabled: use --path");
  const { path } = plugin.exports;
  if (path === undefined || path === "") throw new CtrError("opt path not exported");
  return path;
}

async function* layerBytes(client: Client, digest: string): AsyncGenerator<Uint8Array> {
  const source = readContent(client, digest);
  const first = await source.next();
  if (first.done === true) return;
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield first.value as Uint8Array;
    yield* source;
  }
  const kind = detectCompression(first.value);
  if (kind === "none") yield* whole();
  else {
    const decoder = kind === "gzip" ? createGunzip() : createZstdDecompress();
    const decoded = pipeline(Readable.from(whole()), decoder);
    // Told by the reading of the decoder too.
    decoded.catch(() => {});
    yield* decoder as AsyncIterable<Uint8Array>;
  }
}

/** Directly below "bin" or "lib": no part of the name can lead elsewhere. Written beside and renamed: a program that runs keeps its file. */
async function place(path: string, member: TarMember): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const unfinished = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    if (member.type === "symlink") symlinkSync(text(member.linkName), unfinished);
    else if (member.type === "file")
      await pipeline(
        Readable.from(member.body),
        createWriteStream(unfinished, { flags: "wx", mode: member.mode & 0o777 }),
      );
    else return;
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
