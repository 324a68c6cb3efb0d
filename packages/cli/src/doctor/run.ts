import { needArguments } from "../docker/find.ts";
import type { Call } from "../docker/globals.ts";
import type { DoctorFlags } from "./command.ts";
import { examine } from "./index.ts";
import { thisMachine } from "./machine.ts";
import { countsOf, reportJson, reportText } from "./report.ts";
import { readSetup } from "./setup.ts";

/** `hull doctor` */
export async function doctor(call: Call<DoctorFlags>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 0, 0, "");
  const { root, state } = globals;
  const areas = await examine(thisMachine(), readSetup(flags.config, { root, state }));
  await host.out(flags.json ? reportJson(areas) : reportText(areas, flags));
  return countsOf(areas).fail > 0 ? 1 : 0;
}
