import type { NameKind } from "../completion/complete.ts";

/** What the value of a flag is. `duration` is in milliseconds, written as Go does ("1m30s"). */
export type FlagKind = "switch" | "text" | "list" | "integer" | "number" | "duration";

/** A flag of a command, as its table says it. The key in the table is its long name. */
export interface Flag {
  readonly kind: FlagKind;
  readonly summary: string;
  /** Other names; one letter is a short flag. */
  readonly aliases?: readonly string[];
  /** What stands for the value in the help; "value" unless told. */
  readonly value?: string;
  /** Environment variables that give the value where the command line doesn't; the first that is set counts. */
  readonly env?: readonly string[];
  /** What it is where nothing is said. */
  readonly default?: string | number;
  /** False for a flag that is known and not served yet: using it is an error that says so. */
  readonly supported?: false;
  /** Why it isn't served, for the error. */
  readonly why?: string;
  /** True to keep it out of the help. */
  readonly hidden?: boolean;
  /** What the value can be, where that is known: for completion. */
  readonly choices?: readonly string[];
  /** What the value is the name of: for completion. */
  readonly names?: NameKind;
}

export type Flags = Readonly<Record<string, Flag>>;

/** The value of one flag: a list is never undefined, a switch is false where it isn't given. */
export type FlagValue<F extends Flag> = F["kind"] extends "switch"
  ? boolean
  : F["kind"] extends "list"
    ? readonly string[]
    : F["kind"] extends "text"
      ? F extends { default: string }
        ? string
        : string | undefined
      : F extends { default: number }
        ? number
        : number | undefined;

/** The values of a table of flags, by long name. */
export type FlagValues<F extends Flags> = { readonly [K in keyof F]: FlagValue<F[K]> };

/** A table of flags with its exact type kept. */
export function defineFlags<const F extends Flags>(flags: F): F {
  return flags;
}
