import { command, defineFlags, type FlagValues } from "../command/index.ts";

const doctorFlags = defineFlags({
  config: {
    kind: "text",
    aliases: ["c"],
    value: "FILE",
    names: "file",
    summary: "Configuration of the daemon that is to run here; its default one",
  },
  json: { kind: "switch", summary: "Print the findings as JSON" },
  quiet: { kind: "switch", aliases: ["q"], summary: "Only what is to be considered or mended" },
});

export type DoctorFlags = FlagValues<typeof doctorFlags>;

export const doctorCommand = command({
  name: "doctor",
  summary: "Check whether this host can be a node of Kubernetes, and say how to mend what is missing",
  description:
    "Looks at the kernel, control groups, OCI runtimes, networks, file systems, limits and rights of this host. Nothing is changed. The exit status is 1 if pods couldn't run, or couldn't be reached.",
  usage: "[flags]",
  flags: doctorFlags,
  load: async () => (await import("./run.ts")).doctor,
});
