import { mkdirSync } from "node:fs";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { hullCommand } from "./hull.ts";
import { type Outcome, runProgram } from "./process.ts";
import { scratch } from "./scratch.ts";

export const busybox = "docker.io/library/busybox:latest";

/** Why hull's commands can't run here; undefined if they can. */
export const noCli = process.getuid?.() === 0 ? undefined : "needs root";

/** hull's commands on a daemon, started by the first of them, with folders of its own. */
export interface Cli extends AsyncDisposable {
  readonly root: string;
  readonly state: string;
  readonly folder: string;
  /** What leads a command here. */
  readonly command: readonly string[];
  /** Runs a command. */
  run(...args: string[]): Promise<Outcome>;
  /** Runs a command with an input. */
  feed(stdin: string | Uint8Array, ...args: string[]): Promise<Outcome>;
  /** Runs a command that has to succeed silently on stderr; gives its output without the last line end. */
  ok(...args: string[]): Promise<string>;
}

/** A place for a daemon, with busybox's image in an archive `busybox.tar`. Disposing removes all containers and ends the daemon. */
export function openCli(): Cli {
  const folder = scratch();
  const root = folder.join("root");
  const state = folder.join("state");
  mkdirSync(root);
  writeBusyboxImage(folder.join("busybox.tar"), busybox);
  const command = [...hullCommand, "--root", root, "--state", state];
  const env = { HULL_ADDRESS: undefined, CONTAINERD_ADDRESS: undefined, CONTAINERD_NAMESPACE: undefined };
  const run = (...args: string[]): Promise<Outcome> => runProgram([...command, ...args], { env });
  return {
    root,
    state,
    folder: folder.path,
    command,
    run,
    feed: (stdin, ...args) => runProgram([...command, ...args], { env, stdin }),
    async ok(...args) {
      const { status, stdout, stderr } = await run(...args);
      if (status !== 0 || stderr !== "")
        throw new Error(`hull ${args.join(" ")}: status ${status}\n${stdout}${stderr}`);
      return stdout.replace(/\n$/, "");
    },
    async [Symbol.asyncDispose]() {
      const { stdout } = await run("ps", "-aq");
      const ids = stdout.split("\n").filter((id) => id !== "");
      if (ids.length > 0) await run("rm", "-f", ...ids);
      await runProgram([...hullCommand, "daemon", "stop", "--root", root]);
      folder[Symbol.dispose]();
    },
  };
}
