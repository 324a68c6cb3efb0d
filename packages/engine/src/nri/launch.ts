import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { invalidArgument } from "@hull/errors";
import { type ByteLink, linkFactory } from "@hull/link";
import { close, setNonBlocking } from "@hull/sys/fd";
import { socketPair } from "@hull/sys/socket";
import { type Child, spawn } from "@hull/sys/spawn";
import { checkPluginIndex } from "./connection.ts";

/** A plugin that is installed on this host. */
export interface InstalledPlugin {
  readonly path: string;
  readonly index: string;
  readonly base: string;
  /** What its file in the directory of configurations has; empty if there is none. */
  readonly config: string;
}

/** Programs in the plugins' directory, by name: `10-name` is called before `20-name`. @throws InvalidArgument for another name */
export async function installedPlugins(directory: string, configs: string): Promise<InstalledPlugin[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(noEntries);
  const plugins: InstalledPlugin[] = [];
  for (const { name } of entries.filter((entry) => !entry.isDirectory()).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, name);
    const info = await stat(path).catch(() => undefined);
    if (info === undefined || (info.mode & 0o111) === 0) continue;
    const [index = "", ...rest] = name.split("-");
    if (rest.length === 0) throw invalidArgument(`invalid plugin name "${name}", idx-pluginname expected`);
    checkPluginIndex(index);
    const base = rest.join("-");
    const files = [name, base].map((file) => readFile(join(configs, `${file}.conf`), "utf8").catch(noFile));
    const [own, shared] = await Promise.all(files);
    plugins.push({ path, index, base, config: own ?? shared ?? "" });
  }
  return plugins;
}

const isGone = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT";

function noEntries(error: unknown): [] {
  if (isGone(error)) return [];
  throw error;
}

function noFile(error: unknown): undefined {
  if (isGone(error)) return undefined;
  throw error;
}

/** Starts a plugin with a connection to us as its descriptor 3, and no more of our environment than its name. */
export async function launch({ path, index, base }: InstalledPlugin): Promise<{ link: ByteLink; child: Child }> {
  const { connect } = await linkFactory();
  const [ours, theirs] = socketPair();
  try {
    const env = { NRI_PLUGIN_NAME: base, NRI_PLUGIN_IDX: index, NRI_PLUGIN_SOCKET: "3" };
    const child = spawn({ argv: [path], descriptors: ["null", "null", "null", theirs], env });
    setNonBlocking(ours, true);
    return { link: await connect({ fd: ours }), child };
  } catch (error) {
    close(ours);
    throw error;
  } finally {
    close(theirs);
  }
}
