import { command, defineFlags, type FlagValues } from "../command/index.ts";
import { needArguments } from "../docker/find.ts";
import type { Call } from "../docker/globals.ts";

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

/** `hull doctor` */
export const doctorCommand = command({
  name: "doctor",
  summary: "Check whether this host can be a node of Kubernetes, and say how to mend what is missing",
  description:
    "Looks at the kernel, control groups, OCI runtimes, networks, file systems, limits and rights of this host. Nothing is changed. The exit status is 1 if pods couldn't run, or couldn't be reached.",
  usage: "[flags]",
  flags: doctorFlags,
  load: async () => doctor,
});

async function doctor(call: Call<FlagValues<typeof doctorFlags>>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 0, 0, "");
  const [{ examine }, { thisMachine }, { readSetup }, { countsOf, reportJson, reportText }] = await Promise.all([
    import("./index.ts"),
    import("./machine.ts"),
    import("./setup.ts"),
    import("./report.ts"),
  ]);
  const { root, state } = globals;
  const areas = await examine(thisMachine(), readSetup(flags.config, { root, state }));
  await host.out(flags.json ? reportJson(areas) : reportText(areas, flags));
  return countsOf(areas).fail > 0 ? 1 : 0;
}
