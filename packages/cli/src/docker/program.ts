import { version } from "@hull/daemon/version";
import { type Command, formatHelp, type Program } from "../command/index.ts";
import { completes } from "./completes.ts";
import { globalFlags } from "./globals.ts";
import { containerCommands } from "./program-containers.ts";
import { imageCommands } from "./program-images.ts";
import { otherCommands } from "./program-others.ts";
import { explain } from "./session.ts";

const under = (heading: string, commands: readonly Command[]): Command[] =>
  commands.map((each) => ({ ...each, heading }));

/** hull's docker-like commands; `parts` are what else the executable is. */
export function dockerProgram(parts: readonly Command[]): Program {
  return {
    name: "hull",
    dialect: "posix",
    version: `hull version ${version}`,
    help: formatHelp,
    explain,
    completes,
    root: {
      name: "hull",
      summary: "runs containers: docker's commands, containerd's API",
      description:
        "hull runs containers. A daemon that isn't running is started by itself; containers go on without the command that started them.",
      flags: globalFlags,
      commands: [
        ...under("Containers", containerCommands),
        ...under("Images", imageCommands),
        ...under("More", [...parts, ...otherCommands]),
      ],
    },
  };
}
