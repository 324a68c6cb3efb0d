import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { configTable, text } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";

/** A directory for programs that images bring (`ctr install`). */
export interface OptDirectory {
  readonly path: string;
}

/**
 * What is in its `bin` is found before the programs of the host, what is in its `lib` before the libraries: shims and OCI runtimes can be
 * installed from images. Of containerd's plugin of this name.
 */
export const optPlugin = definePlugin({
  type: pluginTypes.internal,
  id: "opt",
  config: configTable({ path: text("/opt/containerd", 'Directory of what "ctr install" installs') }),
  start: ({ config: { path }, meta, skip }): OptDirectory => {
    try {
      mkdirSync(path, { recursive: true, mode: 0o711 });
    } catch (error) {
      return skip(`directory "${path}" can't be made: ${error instanceof Error ? error.message : error}`);
    }
    meta.exports.path = path;
    prepend("PATH", join(path, "bin"));
    prepend("LD_LIBRARY_PATH", join(path, "lib"));
    return { path };
  },
});

function prepend(variable: string, directory: string): void {
  const before = process.env[variable];
  if (before?.split(":").includes(directory)) return;
  process.env[variable] = before === undefined || before === "" ? directory : `${directory}:${before}`;
}
