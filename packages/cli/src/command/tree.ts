import type { NameKind } from "../completion/complete.ts";
import type { Flags, FlagValues } from "./flags.ts";
import type { Host } from "./host.ts";
import type { Dialect } from "./parse.ts";

/** One call of a command. */
export interface Invocation<F extends Flags = Flags, G extends Flags = Flags> {
  readonly flags: FlagValues<F>;
  /** Flags of the program and of the groups above the command. */
  readonly globals: FlagValues<G>;
  /** Long names of the flags, the command's and those above, that the command line or the environment gave. */
  readonly given: ReadonlySet<string>;
  readonly args: readonly string[];
  readonly host: Host;
  /** Prints the command's own help; gives the status 0. */
  readonly help: () => Promise<number>;
}

/** Does what a command is for. Gives the exit status, 0 if undefined. What it throws is printed and makes the status 1. */
export type Action<F extends Flags = Flags, G extends Flags = Flags> = (
  call: Invocation<F, G>,
) => Promise<number | undefined>;

/** A command or a group of commands. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** One line for the list of commands. */
  readonly summary: string;
  /** Paragraphs for its own help. */
  readonly description?: string;
  /** What follows the name in the usage line: "[flags] <ref>". */
  readonly usage?: string;
  /** Heading that it is listed under. */
  readonly heading?: string;
  readonly flags?: Flags;
  /** True if everything from the first argument on belongs to the arguments, flags too. */
  readonly stopAtArgument?: boolean;
  /** True to give all that follows the name to the action as it is. */
  readonly rawArguments?: boolean;
  /** For a group: its commands. */
  readonly commands?: readonly Command[];
  /** For a command: its action. `never`: each takes the values of its own flags, which `command()` checks. */
  readonly load?: () => Promise<(call: never) => Promise<number | undefined>>;
  /** True to keep it out of the help. */
  readonly hidden?: boolean;
  /** Why it is known and not served: calling it is an error that says so. */
  readonly unsupported?: string;
  /** The program that what follows the name is for. */
  readonly program?: () => Promise<Program>;
}

/** A whole command line program. */
export interface Program {
  /** Stands before errors and in usages. */
  readonly name: string;
  readonly dialect: Dialect;
  readonly root: Command;
  readonly help: (path: readonly Command[]) => string;
  /** What is printed for --version; no such flag without it. */
  readonly version?: string;
  /** What a command's argument is the name of, at a position from 0 on; the command as a path, "images rm". For completion. */
  readonly completes?: (path: string, position: number) => NameKind | undefined;
  /** Turns what an action threw into what is printed after the program's name. The bare message unless told. */
  readonly explain?: (thrown: unknown, globals: Readonly<Record<string, unknown>>) => string;
}

/** A command whose action takes the values of its own flags. */
export function command<const F extends Flags, G extends Flags>(
  spec: Omit<Command, "flags" | "load" | "commands"> & { flags?: F; load: () => Promise<Action<F, G>> },
): Command {
  return spec;
}

/** The command of this name or alias in a group. */
export function findCommand(group: Command, name: string): Command | undefined {
  return group.commands?.find((each) => each.name === name || each.aliases?.includes(name));
}
