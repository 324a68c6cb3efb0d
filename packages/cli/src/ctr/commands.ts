import { type Command, command } from "../command/index.ts";
import { runFlags } from "./container-flags.ts";
import * as flags from "./flags.ts";
import { globalFlags } from "./globals.ts";
import { images } from "./tree-images.ts";
import * as more from "./tree-more.ts";
import { containers, tasks } from "./tree-running.ts";
import { snapshots } from "./tree-snapshots.ts";
import { content, leases, namespaces, plugins } from "./tree-stores.ts";

/** ctr's commands, as containerd's ctr 1.6 has them. */
export const root: Command = {
  name: "ctr",
  summary: "containerd CLI",
  flags: globalFlags,
  commands: [
    plugins,
    command({
      name: "version",
      summary: "print the client and server versions",
      load: async () => (await import("./version.ts")).printVersion,
    }),
    containers,
    content,
    command({
      name: "events",
      aliases: ["event"],
      summary: "display containerd events",
      flags: flags.eventsFlags,
      load: async () => (await import("./events.ts")).watchEvents,
    }),
    images,
    leases,
    namespaces,
    more.pprof,
    command({
      name: "run",
      summary: "run a container",
      usage: "[flags] Image|RootFS ID [COMMAND] [ARG...]",
      stopAtArgument: true,
      flags: runFlags,
      load: async () => (await import("./tasks-run.ts")).run,
    }),
    snapshots,
    tasks,
    more.install,
    more.oci,
    more.deprecations,
    more.shim,
    more.sandboxes,
    command({
      name: "info",
      summary: "print the server's information",
      load: async () => (await import("./version.ts")).printInfo,
    }),
  ],
};
