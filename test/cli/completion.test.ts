/** Completion as people meet it: the shells themselves, on a terminal, with TAB pressed. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { hullCommand } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";
import { type OnTerminal, runOnTerminal } from "../support/pty.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);
const suite = noCli === undefined ? describe : describe.skip;

/** Shells with what starts them without anybody's own settings; each shows READY> when it waits. */
const shells = {
  bash: ["bash", "--norc", "--noprofile", "-i"],
  zsh: ["zsh", "-f", "-i"],
} as const;
const setUp: Readonly<Record<keyof typeof shells, string>> = {
  bash: "PS1='READY> '; source <(hull completion bash)",
  zsh: "PS1='READY> '; autoload -U compinit; compinit -D; source <(hull completion zsh)",
};

suite(`completion${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  let cli: Cli;
  let folder: Scratch;
  let env: Record<string, string>;

  beforeAll(async () => {
    cli = openCli();
    await cli.run("load", "-i", `${cli.folder}/busybox.tar`);
    await cli.ok("run", "-d", "--name", "sleeper", "busybox", "sleep", "1000");
    folder = scratch();
    mkdirSync(folder.join("bin"));
    // The name "hull" on the path, whatever it is that is tested.
    writeFileSync(
      folder.join("bin/hull"),
      `#!/bin/sh\nexec ${hullCommand.map((word) => `'${word}'`).join(" ")} "$@"\n`,
    );
    chmodSync(folder.join("bin/hull"), 0o755);
    const PATH = `${folder.join("bin")}:${process.env.PATH}`;
    env = { PATH, HULL_ROOT: cli.root, HULL_STATE: cli.state, HOME: folder.path, XDG_DATA_HOME: folder.path };
  });
  afterAll(async () => {
    await cli[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  for (const [shell, command] of Object.entries(shells) as [keyof typeof shells, readonly string[]][]) {
    const missing = Bun.which(shell) === null;
    describe(`${shell}${missing ? " (skipped: it is not installed)" : ""}`, () => {
      async function shown(keys: string, pattern: RegExp): Promise<void> {
        using terminal: OnTerminal = runOnTerminal([...command], { env });
        await terminal.shows(/[#$%>] $|[#$%>] \S*$/);
        await terminal.type(`${setUp[shell]}\r`);
        await terminal.shows(/READY> /);
        await terminal.type(keys);
        await terminal.shows(pattern);
        await terminal.type("\x15exit\r");
        expect(typeof (await terminal.exited)).toBe("number");
      }
      test.skipIf(missing)("a command", () => shown("hull unpa\t", /use ?/));
      test.skipIf(missing)("a flag", () => shown("hull ps --no-t\t", /runc ?/));
      test.skipIf(missing)("a container", () => shown("hull exec slee\t", /per ?/));
      test.skipIf(missing)("an image with its tag", () => shown("hull run --rm busybox:la\t", /test ?/));
      test.skipIf(missing)("hull's ctr", () => shown("hull ctr namespaces cre\t", /ate ?/));
    });
  }

  const noFish = Bun.which("fish") === null;
  test.skipIf(noFish)(`fish${noFish ? " (skipped: it is not installed)" : ""}`, async () => {
    const lines = ["hull unpa", "hull ps --no-t", "hull exec slee", "hull run busybox:la", "hull ctr containers inf"];
    const asked = lines.map((line) => `complete -C '${line}'`).join("; ");
    const command = ["fish", "--no-config", "-c", `hull completion fish | source; ${asked}`];
    const { stdout } = await runProgram(command, { env });
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split("\t")[0]),
    ).toEqual(["unpause", "--no-trunc", "sleeper", "busybox:latest", "info"]);
  });

  test("the script is for a shell that there is", async () => {
    const { status, stderr } = await cli.run("completion", "tcsh");
    expect({ status, stderr }).toEqual({ status: 1, stderr: "hull: a shell is needed: bash, zsh, fish; see --help\n" });
  });
});
