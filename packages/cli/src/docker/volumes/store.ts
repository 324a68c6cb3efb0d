import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "@hull/client/client";
import { invalidArgument } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";

export interface Volume {
  readonly name: string;
  /** Directory of its files. */
  readonly path: string;
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
}

/** The volumes of one namespace, in one directory: `NAME/volume.json`, and the files in `NAME/_data`. */
export class VolumeStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes a volume, with 64 random digits for a name unless it has one; gives the one that there is. @throws InvalidArgument */
  create(
    name = randomName(),
    { labels = {}, anonymous = false }: { labels?: Readonly<Record<string, string>>; anonymous?: boolean } = {},
  ): Volume {
    checkName(name);
    const known = this.find(name);
    if (known !== undefined) return known;
    // Not readable for others, as docker's: the files in it have the owners and modes of the image's.
    mkdirSync(this.#directory, { recursive: true, mode: 0o701 });
    const making = join(this.#directory, `.new-${crypto.randomUUID()}`);
    try {
      mkdirSync(join(making, "_data"), { recursive: true, mode: 0o755 });
      const createdAt = `${new Date().toISOString().slice(0, 19)}Z`;
      writeFileSync(join(making, "volume.json"), JSON.stringify({ createdAt, labels, anonymous }), { mode: 0o600 });
      renameSync(making, join(this.#directory, name));
    } catch (error) {
      rmSync(making, { recursive: true, force: true });
      // Another command was faster.
      if (!isErrno(error, "ENOTEMPTY", "EEXIST")) throw error;
    }
    const made = this.find(name);
    if (made === undefined) throw invalidArgument(`"${join(this.#directory, name)}" is in the way of volume "${name}"`);
    return made;
  }

  find(name: string): Volume | undefined {
    if (!validName.test(name)) return undefined;
    const directory = join(this.#directory, name);
    try {
      const { createdAt, labels, anonymous } = JSON.parse(readFileSync(join(directory, "volume.json"), "utf8"));
      return { name, path: join(directory, "_data"), createdAt, labels, anonymous };
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
  }

  /** By name. */
  list(): Volume[] {
    let names: string[];
    try {
      names = readdirSync(this.#directory);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return [];
      throw error;
    }
    return names.sort().flatMap((name) => this.find(name) ?? []);
  }

  /** Removes a volume and its files, if it is there. */
  remove(name: string): void {
    checkName(name);
    const going = join(this.#directory, `.old-${crypto.randomUUID()}`);
    try {
      renameSync(join(this.#directory, name), going);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      throw error;
    }
    rmSync(going, { recursive: true, force: true });
  }
}

/** The volumes of a client's namespace. The daemon says where it keeps what clients keep; `root` is the place of one that doesn't. */
export async function openVolumes(client: Client, root: string): Promise<VolumeStore> {
  const { clientDirectory } = await import("../client-directory.ts");
  return new VolumeStore(join(await clientDirectory(client, "volumes", root), client.namespace));
}

const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** @throws InvalidArgument, in docker's words */
export function checkName(name: string): void {
  if (name.length === 1)
    throw invalidArgument("volume name is too short, names should be at least two alphanumeric characters");
  if (!validName.test(name))
    throw invalidArgument(
      `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
}

function randomName(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
}

/** Bytes of the files of a volume. */
export function sizeOf(path: string): number {
  let bytes = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += lstatSync(join(entry.parentPath, entry.name)).size;
  return bytes;
}
