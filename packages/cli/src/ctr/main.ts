import { version } from "@hull/daemon/version";
import { type Program, processHost, runCommand } from "../command/index.ts";
import { root } from "./commands.ts";
import { explain } from "./errors.ts";
import { formatCtrHelp } from "./help.ts";

const program: Program = {
  name: "ctr",
  dialect: "go",
  root,
  help: formatCtrHelp,
  version: `ctr hull ${version}`,
  explain,
};

/** `hull ctr`, or hull by the name `ctr`. Gives the exit status. */
export function ctrMain(args: readonly string[]): Promise<number> {
  return runCommand(program, args, processHost);
}
