import { usage as daemonUsage } from "@hull/daemon/flags";
import { version } from "@hull/daemon/version";
import { ctrProgram } from "../ctr/program.ts";
import { dockerProgram } from "../docker/program.ts";
import { type ManFile, manPages, textPage } from "./pages.ts";

/** Every man page of hull, made from what --help is made from. `date` is what a page says it is of. */
export function allPages(date: string = new Date().toISOString().slice(0, 10)): ManFile[] {
  const edition = { version, date };
  const parts = [
    { name: "ctr", summary: "containerd's debug client: all of the API, command by command", rawArguments: true },
    { name: "daemon", summary: "Run the daemon, or stop it: hull daemon stop", rawArguments: true },
  ];
  return [
    ...manPages(dockerProgram(parts), "hull", edition),
    ...manPages(ctrProgram, "hull-ctr", edition),
    textPage("hull-daemon", 8, daemonUsage, edition),
  ];
}
