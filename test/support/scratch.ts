import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mountInfo, unmount } from "@hull/sys/mount";

/** A folder of a test's own. Disposing unmounts what is mounted below it and deletes it. */
export interface Scratch extends Disposable {
  readonly path: string;
  /** A path below it. */
  join(...parts: string[]): string;
}

/** Makes a scratch folder. Its path is short, so that a unix socket's name below it fits (107 bytes). */
export function scratch(): Scratch {
  const path = mkdtempSync(join(tmpdir(), "hull-"));
  return {
    path,
    join: (...parts) => join(path, ...parts),
    [Symbol.dispose]() {
      // Deepest first: a mount below another has to go before it.
      const below = mountInfo()
        .map(({ target }) => target)
        .filter((point) => point === path || point.startsWith(`${path}/`))
        .sort((a, b) => b.length - a.length);
      for (const point of below) unmount(point, { detach: true });
      rmSync(path, { recursive: true, force: true });
    },
  };
}
