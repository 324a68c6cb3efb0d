/** Starting programs with pipes, and finding them. With descriptors of ours as theirs, and errors of the family: `spawn.ts`. */

import { host } from "#host";

export type { Program, ProgramInput, ProgramOptions, ProgramStdio } from "./host/index.ts";

export const { startProgram, which } = host;
