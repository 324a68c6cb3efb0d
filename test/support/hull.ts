import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Daemon } from "./containerd.ts";
import { startServer } from "./process.ts";

/** How hull is called: the executable that `npm test` built, or the sources. */
export const hullCommand: readonly string[] =
  process.env.HULL_EXECUTABLE === undefined
    ? [process.execPath, join(dirname(dirname(import.meta.dir)), "packages", "cli", "src", "main.ts")]
    : [process.env.HULL_EXECUTABLE];

/** Starts hull's daemon on folders of its own below `folder`. `config` is TOML; `behind` a command that becomes the one which follows it. */
export async function startHull(
  folder: string,
  config = "",
  {
    behind = [],
    ...options
  }: { env?: Record<string, string | undefined>; behind?: readonly string[]; limitMs?: number } = {},
): Promise<Daemon> {
  mkdirSync(folder, { recursive: true });
  const address = join(folder, "hull.sock");
  const root = join(folder, "root");
  const state = join(folder, "state");
  const file = join(folder, "config.toml");
  writeFileSync(file, config);
  const server = await startServer(
    [...behind, ...hullCommand, "daemon", "--config", file, "--address", address, "--root", root, "--state", state],
    /successfully booted/,
    options,
  );
  return Object.assign(server, { address, root, state });
}
