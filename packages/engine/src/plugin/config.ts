import { HullError, invalidArgument } from "@hull/errors";
import { parseDuration } from "./duration.ts";
import type { ConfigSchema } from "./index.ts";

/** One key of a configuration table: what it has to be, what it is when absent, and what it does. */
export interface ConfigKey<T> {
  /** How an error says what would have been right, e.g. `a string`. */
  readonly expected: string;
  readonly default: T;
  /** The default as a file has it. */
  readonly written: unknown;
  readonly about: string;
  /** Of a table: its keys. */
  readonly keys?: ConfigKeys;
  /** Of a table of the user's names: the keys of each entry. */
  readonly entries?: ConfigKeys;
  /** The value as the code uses it, or undefined if it is not what is expected. */
  read(value: unknown): T | undefined;
}

export type ConfigKeys = Readonly<Record<string, ConfigKey<unknown>>>;

/** What a table with these keys is, once read. */
export type ConfigOf<K extends ConfigKeys> = { [P in keyof K]: K[P] extends ConfigKey<infer T> ? T : never };

const key = <T>(
  expected: string,
  defaultValue: T,
  about: string,
  read: (value: unknown) => T | undefined,
  written: unknown = defaultValue,
): ConfigKey<T> => ({ expected, default: defaultValue, written, about, read });

export const text = (defaultValue: string, about: string): ConfigKey<string> =>
  key("a string", defaultValue, about, (value) => (typeof value === "string" ? value : undefined));

export const flag = (defaultValue: boolean, about: string): ConfigKey<boolean> =>
  key("true or false", defaultValue, about, (value) => (typeof value === "boolean" ? value : undefined));

/** An integer from `min` to `max`. */
export const integer = (
  defaultValue: number,
  about: string,
  { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): ConfigKey<number> => {
  const lower = min === Number.MIN_SAFE_INTEGER ? "" : ` from ${min}`;
  const upper = max === Number.MAX_SAFE_INTEGER ? "" : ` to ${max}`;
  return key(`an integer${lower}${upper}`, defaultValue, about, (value) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max ? value : undefined,
  );
};

/** A number from `min` to `max`. */
export const number = (
  defaultValue: number,
  about: string,
  { min, max }: { min: number; max: number },
): ConfigKey<number> =>
  key(`a number from ${min} to ${max}`, defaultValue, about, (value) =>
    typeof value === "number" && value >= min && value <= max ? value : undefined,
  );

/** A duration as text, such as `10s`; milliseconds for the code. */
export const duration = (defaultValue: string, about: string): ConfigKey<number> =>
  key(
    'a duration such as "10s"',
    parseDuration(defaultValue),
    about,
    (value) => {
      if (typeof value !== "string") return undefined;
      try {
        return parseDuration(value);
      } catch {
        return undefined;
      }
    },
    defaultValue,
  );

export const oneOf = <const T extends string>(choices: readonly T[], defaultValue: T, about: string): ConfigKey<T> =>
  key(`one of ${choices.map((choice) => `"${choice}"`).join(", ")}`, defaultValue, about, (value) =>
    choices.find((choice) => choice === value),
  );

export const texts = (defaultValue: readonly string[], about: string): ConfigKey<readonly string[]> =>
  key("a list of strings", defaultValue, about, (value) =>
    Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined,
  );

/** A table of the user's own keys; what is in it is read elsewhere. */
export const table = (about: string): ConfigKey<Readonly<Record<string, unknown>>> =>
  key("a table", {}, about, (value) => (isTable(value) ? value : undefined));

/** A table with keys of its own. */
export const tableOf = <K extends ConfigKeys>(keys: K, about: string): ConfigKey<ConfigOf<K>> => {
  const written = Object.fromEntries(Object.entries(keys).map(([name, { written }]) => [name, written]));
  const { parse } = configTable(keys);
  return { ...key("a table", parse({}), about, (value) => (isTable(value) ? parse(value) : undefined), written), keys };
};

/** A table of tables by the user's names, each with these keys. Those of `defaults` are there unless the user has them too. */
export const tablesOf = <K extends ConfigKeys>(
  keys: K,
  about: string,
  defaults: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
): ConfigKey<Readonly<Record<string, ConfigOf<K>>>> => {
  const { parse } = configTable(keys);
  const read = (value: unknown) => {
    if (!isTable(value)) return undefined;
    const entries = Object.entries({ ...defaults, ...value }).map(([name, entry]) => {
      try {
        return [name, parse(entry)];
      } catch (error) {
        throw invalidArgument(`table "${name}": ${HullError.from(error).message}`, { cause: error });
      }
    });
    return Object.fromEntries(entries) as Readonly<Record<string, ConfigOf<K>>>;
  };
  return { ...key("a table of tables", read({}) ?? {}, about, read, defaults), entries: keys };
};

/** A schema of a table with these keys. Keys that it doesn't name are ignored: whoever reads the file warns of them. */
export function configTable<K extends ConfigKeys>(keys: K): ConfigSchema<ConfigOf<K>> & { readonly shape: K } {
  return {
    shape: keys,
    parse(value) {
      const given = value ?? {};
      if (!isTable(given)) throw invalidArgument(`expected a table, got ${show(given)}`);
      const entries = Object.entries(keys).map(([name, { expected, default: fallback, read }]) => {
        const raw = given[name];
        if (raw === undefined) return [name, fallback];
        const read_ = reading(name, () => read(raw));
        if (read_ === undefined) throw invalidArgument(`key "${name}" must be ${expected}, not ${show(raw)}`);
        return [name, read_];
      });
      return Object.fromEntries(entries) as ConfigOf<K>;
    },
  };
}

/** Says in which table a bad value stands. */
function reading<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw invalidArgument(`table "${name}": ${HullError.from(error).message}`, { cause: error });
  }
}

/** True for a TOML table (not a list, not a date). */
export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function show(value: unknown): string {
  return value instanceof Date ? value.toISOString() : (JSON.stringify(value) ?? String(value));
}
