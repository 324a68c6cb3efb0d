import { invalidArgument } from "@hull/errors";
import type { Host, Program } from "../command/index.ts";
import { complete, type NameSource } from "./complete.ts";
import { splitLine, trimBreaks } from "./line.ts";
import { completionScript, type Shell, shells } from "./scripts.ts";

/** `hull completion SHELL`: prints the script. @throws InvalidArgument for another shell */
export async function printScript(name: string, args: readonly string[], host: Host): Promise<number> {
  const [shell, ...rest] = args;
  if (shell === undefined || rest.length > 0 || !isShell(shell))
    throw invalidArgument(`a shell is needed: ${shells.join(", ")}; see --help`);
  await host.out(completionScript(shell, name));
  return 0;
}

const isShell = (text: string): text is Shell => (shells as readonly string[]).includes(text);

/**
 * `__complete line LINE BREAKS` or `__complete words -- WORD…`: what a shell's script asks. Never fails: who presses TAB wants no message.
 */
export async function answerShell(
  program: Program,
  names: NameSource,
  args: readonly string[],
  host: Host,
): Promise<number> {
  const [form, ...rest] = args;
  const line = form === "line";
  // In a line the program's name comes first; among words the "--" that divides them from us.
  const words = (line ? splitLine(rest[0] ?? "") : rest).slice(1);
  const { candidates, paths } = await complete(program, words.length === 0 ? [""] : words, names);
  const current = words.at(-1) ?? "";
  const lines = line
    ? candidates.map(({ word }) => trimBreaks(word, current, rest[1] ?? ""))
    : candidates.map(({ word, about }) => `${word}\t${about.split("\n", 1)[0] ?? ""}`);
  await host.out([paths, ...lines].map((each) => `${each}\n`).join(""));
  return 0;
}
