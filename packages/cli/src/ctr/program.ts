import { version } from "@hull/daemon/version";
import type { Program } from "../command/index.ts";
import { root } from "./commands.ts";
import { completes } from "./completes.ts";
import { explain } from "./errors.ts";
import { formatCtrHelp } from "./help.ts";

/** ctr as a whole. */
export const ctrProgram: Program = {
  name: "ctr",
  dialect: "go",
  root,
  help: formatCtrHelp,
  version: `ctr hull ${version}`,
  explain,
  completes,
};
