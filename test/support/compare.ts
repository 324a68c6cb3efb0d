import { startContainerd } from "./containerd.ts";
import { startHull } from "./hull.ts";
import { type Outcome, runProgram } from "./process.ts";

/** What one side said, with what has to differ between two machines' runs replaced by a name of its kind. */
export function normalize(text: string, folder: string): string {
  return text
    .replaceAll(folder, "FOLDER")
    .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d( UTC| \+0000)?)?/g, "TIME")
    .replace(/\b\d+(\.\d+)? ?(seconds?|minutes?|hours?|days?)( ago)?\b/g, "AGE")
    .replace(/\bLess than a second\b/g, "AGE")
    .replace(/extract-\d+-[A-Za-z0-9_-]{4}/g, "extract-RANDOM")
    .replace(/elapsed: *\d+\.\d+ *s/g, "elapsed: T")
    .replace(/in \d+(\.\d+)?(µs|ms|s)\b/g, "in T")
    .replace(/\(\d+(\.\d+)? [KMG]?i?B\/s\)/g, "(RATE)")
    .replace(/[ \t]+$/gm, "");
}

/** One side of a comparison. */
export interface Side {
  readonly name: "containerd" | "hull";
  readonly folder: string;
  readonly address: string;
  readonly pid: number;
  /** Runs the real ctr against it. */
  ctr(args: readonly string[], stdin?: string): Promise<Outcome>;
}

/** Starts the real containerd and hull on folders of their own below `folder`. */
export async function startSides(
  folder: string,
  hullConfig = "",
): Promise<{ sides: readonly [Side, Side] } & AsyncDisposable> {
  const real = await startContainerd(`${folder}/c`);
  const ours = await startHull(`${folder}/h`, hullConfig);
  const side = (name: Side["name"], own: string, address: string, pid: number): Side => ({
    name,
    folder: own,
    address,
    pid,
    ctr: (args, stdin) => runProgram(["ctr", "--address", address, ...args], { stdin }),
  });
  return {
    sides: [
      side("containerd", `${folder}/c`, real.address, real.pid),
      side("hull", `${folder}/h`, ours.address, ours.pid),
    ],
    async [Symbol.asyncDispose]() {
      await ours[Symbol.asyncDispose]();
      await real[Symbol.asyncDispose]();
    },
  };
}

/** What a client sees of a command: status and both outputs, normalized. */
export async function seen(side: Side, args: readonly string[], stdin?: string): Promise<Outcome> {
  const { status, stdout, stderr } = await side.ctr(
    args.map((argument) => argument.replaceAll("FOLDER", side.folder)),
    stdin,
  );
  return { status, stdout: normalize(stdout, side.folder), stderr: normalize(stderr, side.folder) };
}
