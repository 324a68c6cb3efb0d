import { readFileSync } from "node:fs";
import { invalidArgument } from "@hull/errors";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The variables that `--env-file` and `--env` give, files first. `NAME` alone takes this program's own value, and gives nothing where
 * it has none. @throws InvalidArgument
 */
export function collectEnv(files: readonly string[], given: readonly string[], own: Environment): string[] {
  const lines = files.flatMap((file) => parseEnvFile(readEnvFile(file), file));
  return [...lines, ...given].flatMap((entry) => {
    if (entry === "" || entry.startsWith("=")) throw invalidArgument(`variable "${entry}" has no name`);
    if (entry.includes("=")) return [entry];
    const value = own[entry];
    return value === undefined ? [] : [`${entry}=${value}`];
  });
}

function readEnvFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw invalidArgument(`env file "${file}" can't be read: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}

/** Lines of an env file: `NAME=value` or `NAME`, to the letter; empty ones and those that begin with # count for nothing. */
export function parseEnvFile(text: string, file: string): string[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const entry = line.trimStart();
    if (entry === "" || entry.startsWith("#")) return [];
    const name = entry.split("=", 1)[0] ?? "";
    if (name === "" || /\s/.test(name))
      throw invalidArgument(`env file "${file}", line ${index + 1}: "${name}" is not a variable's name`);
    return [entry];
  });
}
