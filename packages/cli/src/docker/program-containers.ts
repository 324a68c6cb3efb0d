import type { Command } from "../command/index.ts";
import { archiveCommands } from "./program-archives.ts";
import { insideCommands } from "./program-insides.ts";
import { lifeCommands } from "./program-lives.ts";
import { lookCommands } from "./program-looks.ts";

/** As the help lists them: what is used most comes first. */
const order =
  "run create ps pods exec logs attach commit diff export start stop restart kill pause unpause wait update rm inspect rename port cp top stats".split(
    " ",
  );

/** Commands for containers. */
export const containerCommands: readonly Command[] = [
  ...lifeCommands,
  ...lookCommands,
  ...insideCommands,
  ...archiveCommands,
].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
