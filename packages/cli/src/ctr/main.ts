import { processHost, runCommand } from "../command/index.ts";
import { ctrProgram } from "./program.ts";

/** `hull ctr`, or hull by the name `ctr`. Gives the exit status. */
export async function ctrMain(args: readonly string[]): Promise<number> {
  if (args[0] === "__complete") {
    const [{ answerShell }, { ctrNames }] = await Promise.all([
      import("../completion/main.ts"),
      import("./completes.ts"),
    ]);
    return await answerShell(ctrProgram, await ctrNames(processHost.env), args.slice(1), processHost);
  }
  return await runCommand(ctrProgram, args, processHost);
}
