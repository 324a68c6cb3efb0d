/**
 * Every command and flag that containerd's ctr has is served here, or refused by name with a reason; none is unknown.
 *
 * commands.facts.json has them by the command's path: the versions of containerd that have it (`in`), its other names, and its flags,
 * each with its versions and then its other names. They were read from the help of ctr 1.6.20 and 2.1.9 and from containerd's sources.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "../command/index.ts";
import { findCommand } from "../command/index.ts";
import { root } from "./commands.ts";

type Facts = Readonly<
  Record<string, { in: string; aliases: readonly string[]; flags: Readonly<Record<string, readonly string[]>> }>
>;

const facts = JSON.parse(readFileSync(join(import.meta.dir, "commands.facts.json"), "utf8")) as Facts;

interface Found {
  /** The command, or the one above it that is refused as a whole. */
  readonly command: Command;
  readonly whole: boolean;
}

function lookUp(path: string): Found | undefined {
  let command = root;
  if (path === "ctr") return { command, whole: true };
  for (const word of path.split(" ")) {
    if (command.unsupported !== undefined) return { command, whole: false };
    const next = findCommand(command, word);
    if (next === undefined) return undefined;
    command = next;
  }
  return { command, whole: command.unsupported === undefined };
}

const counts = { commands: { served: 0, refused: 0 }, flags: { served: 0, refused: 0 } };

describe("what containerd's ctr has", () => {
  for (const [path, { aliases, flags, in: versions }] of Object.entries(facts)) {
    test(`${path} (${versions})`, () => {
      const found = lookUp(path);
      if (found === undefined) throw new Error(`command "${path}" is neither served nor refused`);
      const { command, whole } = found;
      const own = Object.keys(flags).length;
      if (!whole) {
        expect(command.unsupported).not.toBe("");
        counts.commands.refused++;
        counts.flags.refused += own;
        return;
      }
      counts.commands.served++;
      expect({ aliases: [...(command.aliases ?? [])].sort() }).toEqual({ aliases: [...aliases].sort() });
      const missing = Object.entries(flags).flatMap(([name, [, ...others]]) => {
        const flag = command.flags?.[name];
        if (flag === undefined) return [`--${name}`];
        if (flag.supported === false) counts.flags.refused++;
        else counts.flags.served++;
        return others.filter((other) => !flag.aliases?.includes(other)).map((other) => `--${name}, -${other}`);
      });
      expect(missing).toEqual([]);
    });
  }

  test("most are served", () => {
    const { commands, flags } = counts;
    console.log(
      `ctr: ${commands.served} commands served, ${commands.refused} refused; ${flags.served} flags served, ${flags.refused} refused`,
    );
    expect(commands.served).toBeGreaterThan(commands.refused);
    expect(flags.served).toBeGreaterThan(flags.refused);
  });
});
