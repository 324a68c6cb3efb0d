import { expect, test } from "bun:test";
import { defineFlags } from "./flags.ts";
import { formatHelp } from "./help.ts";
import { runCommand } from "./run.ts";
import { command, type Invocation, type Program } from "./tree.ts";

const listFlags = defineFlags({ quiet: { kind: "switch", aliases: ["q"], summary: "less" } });

function programOf(dialect: Program["dialect"], calls: Invocation[] = []): Program {
  const load = async () => async (call: Invocation<typeof listFlags>) => {
    calls.push(call);
    if (call.args.includes("fail")) throw new Error("it failed");
    return call.flags.quiet ? 7 : 0;
  };
  const list = command({ name: "list", aliases: ["ls"], summary: "lists", flags: listFlags, load });
  const images = { name: "images", aliases: ["i"], summary: "images", commands: [list] };
  const flags = defineFlags({ address: { kind: "text", aliases: ["a"], summary: "where", default: "here" } });
  return {
    name: "tool",
    dialect,
    help: formatHelp,
    root: { name: "tool", summary: "a tool", flags, commands: [images] },
  };
}

async function run(program: Program, ...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const said = { out: "", err: "" };
  const status = await runCommand(program, args, {
    env: {},
    async out(data) {
      said.out += data;
    },
    err(text) {
      said.err += text;
    },
  });
  return { status, ...said };
}

test("a command gets its flags, those above and its arguments, and gives the status", async () => {
  const calls: Invocation[] = [];
  expect(await run(programOf("go", calls), "-a", "there", "i", "ls", "x", "-q")).toEqual({
    status: 7,
    out: "",
    err: "",
  });
  expect(calls[0]?.args).toEqual(["x"]);
  expect(calls[0]?.globals).toMatchObject({ address: "there" });
});

test("what an action throws is printed after the program's name", async () => {
  expect(await run(programOf("go"), "images", "list", "fail")).toEqual({
    status: 1,
    out: "",
    err: "tool: it failed\n",
  });
});

test("a wrong command or flag suggests the right one", async () => {
  expect((await run(programOf("go"), "imagse", "ls")).err).toBe(
    "No help topic for 'imagse'\nDid you mean \"tool images\"?\n",
  );
  expect((await run(programOf("posix"), "images", "--quie")).err).toContain("unknown flag: --quie");
  expect((await run(programOf("posix"), "images", "list", "--quie")).err).toContain('Did you mean "--quiet"?');
});

test("help is printed for what it is asked of", async () => {
  for (const args of [["images", "--help"], ["help", "images"], ["images"]])
    expect(await run(programOf("posix"), ...args)).toMatchObject({
      status: 0,
      out: expect.stringContaining("list, ls  lists"),
    });
});

test("help fits into the columns of a terminal, between words and under what it explains", () => {
  const summary = "passes signals on and reaps processes, with an init of the host where there is one";
  const flags = defineFlags({ init: { kind: "switch", summary }, "quite-long": { kind: "text", value: "X", summary } });
  const path = [{ name: "tool", summary, flags }];
  expect(formatHelp(path, 60)).toEndWith(`Flags:
      --init          passes signals on and reaps
                      processes, with an init of the host
                      where there is one
      --quite-long X  passes signals on and reaps
                      processes, with an init of the host
                      where there is one
`);
  for (const columns of [20, 40, 60, 80, 200]) {
    const text = formatHelp(path, columns);
    expect(text.replace(/\s+/g, " ")).toBe(formatHelp(path, 10_000).replace(/\s+/g, " "));
    if (columns >= 40) expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(columns);
  }
});
