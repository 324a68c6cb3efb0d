import { mkdirSync, realpathSync } from "node:fs";
import { mountInfo } from "@hull/sys/mount";
import { fileSystemType, overlaySupport } from "@hull/sys/mount-support";

/** Why overlays can't be used with layers in `root` (made if missing), or undefined if they can. Tries it, and leaves nothing behind. */
export async function whyNoOverlay(root: string): Promise<string | undefined> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const { problem } = overlaySupport(root);
  return problem === undefined
    ? undefined
    : `overlayfs can't be used in "${root}" on ${fileSystemType(root)}: ${problem}`;
}

/** The block device of the file system that a path is on; undefined if no mount tells it. */
export function deviceOf(path: string): string | undefined {
  const real = realpathSync(path);
  const above = mountInfo().filter(({ target }) => real === target || target === "/" || real.startsWith(`${target}/`));
  // The longest path is the nearest mount; of those at the same place the last one is on top.
  return above.reduce<(typeof above)[number] | undefined>(
    (best, one) => (best === undefined || one.target.length >= best.target.length ? one : best),
    undefined,
  )?.source;
}
