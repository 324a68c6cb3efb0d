/** Containers on a terminal. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { type OnTerminal, runOnTerminal } from "../support/pty.ts";

const suite = noCli === undefined ? describe : describe.skip;

suite(`on a terminal${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  let hull: Cli;

  beforeAll(async () => {
    hull = openCli();
    await hull.run("load", "-i", join(hull.folder, "busybox.tar"));
  });
  afterAll(async () => {
    await hull[Symbol.asyncDispose]();
  });

  const open = (...args: string[]): OnTerminal => runOnTerminal([...hull.command, ...args]);

  test("run -it: keys, size, Ctrl-C, exit status", async () => {
    using terminal = open("run", "-it", "--rm", "busybox");
    await terminal.shows(/# /);
    await terminal.type("stty size; tty\r");
    await terminal.shows(/24 80\r\n\/dev\/pts\/0/);
    terminal.resize({ columns: 100, rows: 30 });
    process.kill(terminal.pid, "SIGWINCH");
    await terminal.type("sleep 0.3; stty size\r");
    await terminal.shows(/30 100/);
    // Said by what is in the foreground.
    await terminal.type("sh -c 'echo begun-$((1+1)); exec sleep 100'\r");
    await terminal.shows(/begun-2/);
    await terminal.type("\x03");
    await terminal.type("echo after-$((1+1))\r");
    await terminal.shows(/after-2/);
    await terminal.type("exit 5\r");
    expect(await terminal.exited).toBe(5);
  });

  test("exec -it ends with Ctrl-D; a detached terminal has a log", async () => {
    await hull.ok("run", "-d", "-t", "--name", "shell", "busybox", "sh", "-c", "echo hello; sleep 600");
    using terminal = open("exec", "-it", "shell", "sh");
    await terminal.shows(/# /);
    await terminal.type("echo in-$((20+2))\r");
    await terminal.shows(/in-22/);
    await terminal.type("\x04");
    expect(await terminal.exited).toBe(0);
    expect((await hull.run("logs", "shell")).stdout).toBe("hello\r\n");
    await hull.ok("rm", "-f", "shell");
  });

  test("-t needs a terminal for the input", async () => {
    const { status, stderr } = await hull.run("run", "-it", "--rm", "busybox", "true");
    expect([status, stderr]).toEqual([125, expect.stringContaining("the input is not a terminal")]);
    expect(await hull.ok("ps", "-aq")).toBe("");
  });
});
