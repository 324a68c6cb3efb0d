import { dirname, join } from "node:path";
import type { Client } from "@hull/client/client";
import { clientDirectories, type DirectoryKind } from "@hull/client/directories";

/** Where clients keep what belongs to containers or outlives them: the daemon says it; below `root` for one that doesn't. */
export async function clientDirectory(client: Client, kind: DirectoryKind, root: string): Promise<string> {
  const directories = await clientDirectories(client);
  const own = directories[kind];
  if (own !== undefined) return own;
  return directories.logs === undefined ? join(root, kind) : join(dirname(directories.logs), kind);
}
