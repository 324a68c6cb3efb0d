import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import { invalidArgument } from "@hull/errors";
import type { Client } from "../client.ts";
import { writeContent } from "../content.ts";
import { withLease } from "../lease.ts";

/** A file that a container has from its start, beside those of its image. */
export interface FileOption {
  /** Where it is in the container, from `/` on. Folders on the way are made; a file that is there is replaced. */
  readonly path: string;
  /** Its bytes, or a text, which is written as UTF-8. */
  readonly content: string | Uint8Array;
  /** Permissions: 0o644 unless told. */
  readonly mode?: number;
  /** Number of the user it belongs to: 0, root, unless told. */
  readonly uid?: number;
  /** Number of the group it belongs to: 0 unless told. */
  readonly gid?: number;
}

const layerType = "application/vnd.oci.image.layer.v1.tar";

/** Puts files into a snapshot that is given by its mounts, as the daemon unpacks a layer. @throws InvalidArgument for a path that is none */
export async function placeFiles(
  client: Client,
  mounts: readonly Mount[],
  files: readonly FileOption[],
): Promise<void> {
  for (const { path } of files) {
    if (!path.startsWith("/") || path.endsWith("/") || path.split("/").includes(".."))
      throw invalidArgument(`"${path}" can't be a file of a container: give a path that begins with "/", without ".."`);
  }
  const { encodeHeader, endOfArchive, paddingAfter } = await import("@hull/engine/diff/tar/index");
  async function* archive(): AsyncGenerator<Uint8Array, void, undefined> {
    for (const { path, content, mode = 0o644, uid = 0, gid = 0 } of files) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      const mtime = { seconds: Math.floor(Date.now() / 1000), nanoseconds: 0 };
      yield encodeHeader({ name: path.replace(/^\/+/, ""), type: "file", size: bytes.length, mode, uid, gid, mtime });
      yield bytes;
      yield paddingAfter(bytes.length);
    }
    yield endOfArchive;
  }
  // The lease's end has the archive collected.
  await withLease(client, async (leased) => {
    const { digest, size } = await writeContent(leased, `files-${crypto.randomUUID()}`, archive());
    const diff = { mediaType: layerType, digest, size: BigInt(size), annotations: {} };
    await leased.service(DiffDefinition).apply({ diff, mounts: [...mounts] });
  });
}
