import { resolve } from "node:path";
import { type CriConfig, imagesTable, runtimeTable } from "@hull/cri/config";
import { criPlugins } from "@hull/cri/plugin";
import { loadConfig } from "@hull/daemon/config/load";
import { tasksPlugin } from "@hull/engine/runtime/plugin";

/** What the host is to do: the daemon's configuration as far as checks depend on it. */
export interface Setup {
  readonly root: string;
  readonly state: string;
  readonly cri: Pick<CriConfig, "images" | "runtime">;
  /** The OCI runtime of handlers that don't name one; empty: whichever works. */
  readonly ociRuntime: string;
}

/**
 * Reads the configuration.
 * @param file the file, else the default ones if they are there
 * @throws NotFound, InvalidArgument as the daemon would for a bad configuration
 */
export function readSetup(file: string | undefined, { root, state }: { root?: string; state?: string }): Setup {
  const { config } = loadConfig(file, [...criPlugins, tasksPlugin]);
  const table = (name: string): Readonly<Record<string, unknown>> => config.plugins[name] ?? {};
  const { oci_runtime: ociRuntime } = table("io.containerd.runtime.v2.task");
  return {
    root: resolve(root ?? config.root),
    state: resolve(state ?? config.state),
    cri: {
      images: imagesTable.parse(table("io.containerd.cri.v1.images")),
      runtime: runtimeTable.parse(table("io.containerd.cri.v1.runtime")),
    },
    ociRuntime: typeof ociRuntime === "string" ? ociRuntime : "",
  };
}
