import { invalidArgument } from "@hull/errors";
import { type Command, type Program, processHost, runCommand } from "../command/index.ts";
import { type Globals, placeOf } from "./globals.ts";
import { dockerProgram } from "./program.ts";

/** Runs with the arguments behind its name; gives the exit status, or undefined to go on until it ends itself. */
type Main = (args: readonly string[]) => Promise<number | undefined>;

/** Parts of the executable that are commands to its users, with what each takes of the flags before it. */
const shown: Readonly<Record<string, { summary: string; takes: (call: GlobalsGiven) => string[] }>> = {
  config: { summary: "The daemon's configuration: default, dump or migrate", takes: () => [] },
  ctr: {
    summary: "containerd's debug client: all of the API, command by command",
    takes: ({ globals, given }) => [
      ...(given.has("address") || given.has("state") ? ["--address", placeOf(globals).address] : []),
      ...(given.has("namespace") ? ["--namespace", globals.namespace] : []),
      ...(given.has("debug") ? ["--debug"] : []),
    ],
  },
  daemon: {
    summary: "Run the daemon, or stop it: hull daemon stop",
    takes: ({ globals, given }) => {
      const { address, root, state } = placeOf(globals);
      // Where containerd's clients look is not where a daemon of ours is to listen.
      const listens =
        given.has("state") || (given.has("address") && globals.address !== process.env.CONTAINERD_ADDRESS);
      return [
        ...(given.has("root") ? ["--root", root] : []),
        ...(given.has("state") ? ["--state", state] : []),
        ...(listens ? ["--address", address] : []),
      ];
    },
  },
};

interface GlobalsGiven {
  readonly globals: Globals;
  readonly given: ReadonlySet<string>;
}

/** hull's own commands, and those parts of the executable that are commands too. */
export function hullMain(parts: Readonly<Record<string, () => Promise<Main>>>): Main {
  const commands = Object.entries(shown).map(([name, { summary, takes }]): Command => {
    const act = async (call: GlobalsGiven & { args: readonly string[] }): Promise<number | undefined> => {
      const load = parts[name];
      if (load === undefined) throw invalidArgument(`"${name}" is not a part of this executable`);
      return await (await load())([...takes(call), ...call.args]);
    };
    const program = name === "ctr" ? { program: loadCtr } : {};
    return { name, summary, rawArguments: true, load: async () => act, ...program };
  });
  const program = dockerProgram(commands);
  return async (args) => {
    if (args[0] !== "__complete") return await runCommand(program, args, processHost);
    const [{ answerShell }, { dockerNames }] = await Promise.all([
      import("../completion/main.ts"),
      import("./complete-names.ts"),
    ]);
    return await answerShell(program, dockerNames(processHost.env), args.slice(1), processHost);
  };
}

const loadCtr = async (): Promise<Program> => (await import("../ctr/program.ts")).ctrProgram;
