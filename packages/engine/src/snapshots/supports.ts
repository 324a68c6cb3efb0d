import { mkdirSync } from "node:fs";
import { fileSystemType, overlaySupport } from "@hull/sys/mount-support";

/** Why overlays can't be used with layers in `root` (made if missing), or undefined if they can. Tries it, and leaves nothing behind. */
export async function whyNoOverlay(root: string): Promise<string | undefined> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const { problem } = overlaySupport(root);
  return problem === undefined
    ? undefined
    : `overlayfs can't be used in "${root}" on ${fileSystemType(root)}: ${problem}`;
}
