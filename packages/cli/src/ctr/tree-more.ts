import { type Command, command } from "../command/index.ts";
import * as flags from "./flags.ts";

/** Groups of ctr's commands beside those of containers, images and what they are made of. */

const pprofCommand = (name: "block" | "goroutines" | "heap" | "threadcreate", summary: string): Command =>
  command({
    name,
    summary,
    flags: name === "goroutines" ? flags.pprofGoroutines : flags.pprofOther,
    load: async () => (await import("./pprof.ts"))[name],
  });

export const pprof: Command = {
  name: "pprof",
  summary: "provide golang pprof outputs for containerd",
  flags: flags.pprofFlags,
  commands: [
    pprofCommand("block", "goroutine blocking profile"),
    pprofCommand("goroutines", "dump goroutine stack dump"),
    pprofCommand("heap", "dump heap profile"),
    command({
      name: "profile",
      summary: "CPU profile",
      flags: flags.pprofProfile,
      load: async () => (await import("./pprof.ts")).profile,
    }),
    pprofCommand("threadcreate", "goroutine thread creating profile"),
    command({
      name: "trace",
      summary: "collect execution trace",
      flags: flags.pprofTrace,
      load: async () => (await import("./pprof.ts")).trace,
    }),
  ],
};

export const oci: Command = {
  name: "oci",
  summary: "OCI tools",
  commands: [
    command({
      name: "spec",
      summary: "see the output of the default OCI spec",
      flags: flags.ociSpec,
      load: async () => (await import("./oci.ts")).printSpec,
    }),
  ],
};

export const deprecations: Command = {
  name: "deprecations",
  summary: "deprecated features of the server that are in use",
  commands: [
    command({
      name: "list",
      summary: "print warnings for deprecations",
      flags: flags.deprecationsList,
      load: async () => (await import("./deprecations.ts")).listDeprecations,
    }),
  ],
};

export const install: Command = command({
  name: "install",
  summary: "install a new package",
  usage: "<ref>",
  description: "install a new package",
  flags: flags.install,
  load: async () => (await import("./install.ts")).install,
});

export const shim: Command = {
  name: "shim",
  summary: "interact with a shim directly",
  flags: flags.shimFlags,
  commands: [
    command({
      name: "delete",
      summary: "delete a container with a task",
      load: async () => (await import("./shim.ts")).remove,
    }),
    command({
      name: "exec",
      summary: "exec a new process in the task's container",
      flags: flags.shimExec,
      load: async () => (await import("./shim.ts")).exec,
    }),
    command({
      name: "start",
      summary: "start a container with a task",
      load: async () => (await import("./shim.ts")).start,
    }),
    command({
      name: "state",
      summary: "get the state of all the processes of the task",
      flags: flags.shimState,
      load: async () => (await import("./shim.ts")).state,
    }),
    command({
      name: "shutdown",
      summary: "shutdown shim if there is no active container",
      flags: flags.shimShutdown,
      load: async () => (await import("./shim.ts")).shutdown,
    }),
    {
      name: "pprof",
      summary: "provide golang pprof outputs for containerd-shim",
      unsupported: "not supported: hull's shims are no Go programs",
      rawArguments: true,
      load: async () => {
        const { CtrError } = await import("./errors.ts");
        return () => Promise.reject(new CtrError("profiles of Go programs are not supported: hull's shims are none"));
      },
    },
  ],
};

export const contentPrune: Command = {
  name: "prune",
  summary: "prunes content from the content store",
  commands: [
    command({
      name: "references",
      summary: "prunes preference labels from the content store (layers only by default)",
      flags: flags.contentPruneReferences,
      load: async () => (await import("./content-prune.ts")).pruneReferences,
    }),
  ],
};

export const inspectRuntime: Command = command({
  name: "inspect-runtime",
  summary: "display runtime info",
  usage: "[flags]",
  flags: flags.pluginsInspectRuntime,
  load: async () => (await import("./inspect-runtime.ts")).inspectRuntime,
});

export const contentLabel: Command = command({
  name: "label",
  summary: "add labels to content",
  usage: "<digest> [<label>=<value> ...]",
  description: "labels blobs in the content store",
  load: async () => (await import("./content-edit.ts")).labelContent,
});

export const contentEdit: Command = command({
  name: "edit",
  summary: "edit a blob and return a new digest",
  usage: "[flags] <digest>",
  description: "edit a blob and return a new digest",
  flags: flags.contentEdit,
  load: async () => (await import("./content-edit.ts")).editContent,
});

export const sandboxes: Command = {
  name: "sandboxes",
  aliases: ["sandbox", "sb", "s"],
  summary: "manage sandboxes",
  commands: [
    command({
      name: "run",
      aliases: ["create", "c", "r"],
      summary: "run a new sandbox",
      usage: "[flags] <pod-config.json> <sandbox-id>",
      flags: flags.sandboxesRun,
      load: async () => (await import("./sandboxes.ts")).runSandbox,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list sandboxes",
      flags: flags.sandboxesList,
      load: async () => (await import("./sandboxes.ts")).listSandboxes,
    }),
    command({
      name: "remove",
      aliases: ["rm"],
      summary: "remove sandboxes",
      usage: "<id> [<id>, ...]",
      flags: flags.sandboxesRemove,
      load: async () => (await import("./sandboxes.ts")).removeSandboxes,
    }),
    command({
      name: "info",
      aliases: ["i"],
      summary: "get info about a sandbox",
      usage: "<sandbox id>",
      load: async () => (await import("./sandboxes.ts")).sandboxInfo,
    }),
  ],
};
