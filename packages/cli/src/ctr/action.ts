import type { Action, Flags } from "../command/index.ts";
import type { globalFlags } from "./globals.ts";

/** An action of a command with the flags F. */
export type CtrAction<F extends Flags = Record<never, never>> = Action<F, typeof globalFlags>;
