import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { noContainerd, startContainerd } from "./containerd.ts";
import { startHull } from "./hull.ts";
import { removeLeftovers } from "./leftovers.ts";
import { type Outcome, runProgram, runTypedTo, type Typing } from "./process.ts";
import { type Scratch, scratch } from "./scratch.ts";

/** What one side said, with what has to differ between two machines' runs replaced by a name of its kind. */
export function normalize(text: string, folder: string): string {
  return (
    text
      .replaceAll(folder, "FOLDER")
      .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d( UTC| \+0000)?)?/g, "TIME")
      .replace(/\b\d+(\.\d+)? ?(seconds?|minutes?|hours?|days?)( ago)?(?=\s)/g, "AGE")
      .replace(/\bLess than a second\b|\bAbout a minute\b/g, "AGE")
      .replace(/extract-\d+-[A-Za-z0-9_-]{4}/g, "extract-RANDOM")
      .replace(/elapsed: *\d+\.\d+ *s/g, "elapsed: T")
      .replace(/in \d+(\.\d+)?(µs|ms|s)\b/g, "in T")
      .replace(/\(\d+(\.\d+)? [KMG]?i?B\/s\)/g, "(RATE)")
      .replace(/\/fifo\/\d+\//g, "/fifo/N/")
      // Go walks maps in a random order: ctr prints labels as they come.
      .replace(/[^\s"{]+=[^\s",]*(,[^\s",=]+=[^\s",]*)+/g, (labels) => labels.split(",").sort().join(","))
      // Columns are as wide as times are long.
      .replace(/\t+/g, "\t")
      // containerd's server says the kind of some errors at the end of their text, where its clients say it again.
      .replace(/(: (?:invalid argument|not found|failed precondition))\1+/g, "$1")
      // … and of snapshots the names of its own book-keeping: namespace, number, key.
      .replace(/\bdefault\/\d+\/(?=\S)/g, "")
      .replace(/[ \t]+$/gm, "")
  );
}

/** One side of a comparison. */
export interface Side {
  readonly name: "containerd" | "hull";
  readonly folder: string;
  readonly address: string;
  readonly pid: number;
  /** What stands in for ctr's default namespace. */
  readonly namespace: string;
  /** A text with the side's namespace under its public name. */
  named(text: string): string;
  /** Runs the real ctr against it. */
  ctr(args: readonly string[], options?: CtrOptions): Promise<Outcome>;
}

export interface CtrOptions {
  stdin?: string;
  /** What is typed into its standard input. */
  typed?: Typing;
  /** Runs it in a terminal, and types there. */
  terminal?: Typing;
}

/**
 * The namespace that ctr takes for its default one on a side, shown as "default": runc's states and the cgroups of containers are the
 * machine's, by namespace and id, so two test runs or both sides would meet there. All are of one length, as columns are as wide as names.
 */
const namespaceOf = (side: Side["name"]): string => `test-${process.pid}-${side === "hull" ? "h" : "c"}`;

/** ctr names no OCI runtime, which for containerd means runc; hull takes crun where it works, whose errors have other words. */
const sameOciRuntime = '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n';

/** Starts the real containerd and hull on folders of their own below `folder`. */
export async function startSides(folder: string): Promise<{ sides: readonly [Side, Side] } & AsyncDisposable> {
  await using starting = new AsyncDisposableStack();
  starting.defer(() => {
    for (const name of ["containerd", "hull"] as const) removeLeftovers(namespaceOf(name));
  });
  const real = starting.use(await startContainerd(`${folder}/c`));
  const ours = starting.use(await startHull(`${folder}/h`, sameOciRuntime));
  const side = (name: Side["name"], own: string, { address, pid }: { address: string; pid: number }): Side => ({
    name,
    namespace: namespaceOf(name),
    named: (text) => text.replaceAll(namespaceOf(name), "default"),
    folder: own,
    address,
    pid,
    async ctr(args, { stdin, terminal, typed } = {}) {
      const command = ["ctr", "--address", address, ...args.map((argument) => argument.replaceAll("FOLDER", own))];
      const env = { CONTAINERD_NAMESPACE: namespaceOf(name) };
      const typing = terminal ?? typed;
      const outcome =
        typing === undefined
          ? await runProgram(command, { stdin, env, timeoutMs: 60_000 })
          : await runTypedTo(command, { ...typing, terminal: terminal !== undefined }, env);
      return { ...outcome, stdout: this.named(outcome.stdout), stderr: this.named(outcome.stderr) };
    },
  });
  const sides = [side("containerd", `${folder}/c`, real), side("hull", `${folder}/h`, ours)] as const;
  starting.defer(async () => {
    for (const one of sides) await endTasks(one);
  });
  const running = starting.move();
  return { sides, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Ends what a failed test left running. */
async function endTasks(side: Side): Promise<void> {
  const { stdout } = await side.ctr(["tasks", "ls", "-q"]);
  for (const id of stdout.split("\n").filter((line) => line !== "")) await side.ctr(["tasks", "rm", "-f", id]);
}

export interface SameOptions extends CtrOptions {
  /** Lines may come in any order. */
  sorted?: boolean;
  /** What has to differ here beyond what `normalize` knows. */
  mask?: RegExp;
}

/** Runs commands on both sides and collects where they differ. */
export class Comparison {
  readonly folder: Scratch;
  readonly sides: readonly [Side, Side];
  readonly #differences: { command: string; containerd: Outcome; hull: Outcome }[] = [];

  constructor(folder: Scratch, sides: readonly [Side, Side]) {
    this.folder = folder;
    this.sides = sides;
  }

  /** Runs one command on both, first on containerd; gives hull's outcome, normalized. `FOLDER` in it is the side's own. */
  readonly same = async (args: readonly string[], options: SameOptions = {}): Promise<Outcome> => {
    const [containerd, hull] = [
      await this.#seen(this.sides[0], args, options),
      await this.#seen(this.sides[1], args, options),
    ];
    this.differ(args.join(" "), containerd, hull);
    return hull;
  };

  /** Notes a difference if there is one. */
  differ(command: string, containerd: Outcome, hull: Outcome): void {
    if (!Bun.deepEquals(containerd, hull)) this.#differences.push({ command, containerd, hull });
  }

  /** Runs one command on both, which has to succeed; compares nothing else. Gives containerd's outcome and hull's. */
  async both(args: readonly string[], options: CtrOptions = {}): Promise<[Outcome, Outcome]> {
    const outcomes = [await this.sides[0].ctr(args, options), await this.sides[1].ctr(args, options)] as const;
    for (const [index, { status, stderr }] of outcomes.entries()) {
      if (status !== 0) throw new Error(`${this.sides[index]?.name}: "ctr ${args.join(" ")}" failed: ${stderr}`);
    }
    return [...outcomes];
  }

  /** Does the same on both, one after the other. */
  async each(work: (side: Side) => Promise<void>): Promise<void> {
    for (const side of this.sides) await work(side);
  }

  /** @throws what `expect` throws, with the differences since the last call */
  verify(): void {
    const found = this.#differences.splice(0);
    const of = (name: Side["name"]) =>
      found.map((difference) => ({ command: difference.command, ...difference[name] }));
    expect(of("hull")).toEqual(of("containerd"));
  }

  async #seen(side: Side, args: readonly string[], options: SameOptions): Promise<Outcome> {
    const { status, stdout, stderr } = await side.ctr(args, options);
    const shape = (text: string): string => {
      const plain = normalize(text, side.folder);
      const masked =
        options.mask === undefined ? plain : plain.replace(options.mask, (found) => (found.endsWith("\n") ? "" : "…"));
      return options.sorted ? masked.split("\n").sort().join("\n") : masked;
    };
    return { status, stdout: shape(stdout), stderr: shape(stderr) };
  }
}

/** The parts of a suite of comparisons: `name` says what is compared, `body` makes the tests. */
export interface ComparedTests {
  /** Both sides; there once the first test runs. */
  readonly pair: () => Comparison;
  /** A test that fails at its end for every command that differed, all at once. */
  readonly test: (name: string, body: (pair: Comparison) => Promise<void>) => void;
}

/** A suite that runs beside the real containerd, on daemons of its own; skipped where there is none. `prepare` comes before all tests. */
export function compared(
  name: string,
  prepare: (pair: Comparison) => Promise<void>,
  body: (tests: ComparedTests) => void,
): void {
  const suite = noContainerd === undefined ? describe : describe.skip;
  suite(noContainerd === undefined ? name : `${name} (skipped: ${noContainerd})`, () => {
    const stack = new AsyncDisposableStack();
    let comparison: Comparison | undefined;
    const pair = (): Comparison => {
      if (comparison === undefined) throw new Error("the daemons are not started");
      return comparison;
    };
    beforeAll(async () => {
      const folder = stack.use(scratch());
      const { sides } = stack.use(await startSides(folder.path));
      comparison = new Comparison(folder, sides);
      await prepare(comparison);
    });
    afterAll(() => stack.disposeAsync());
    body({
      pair,
      test: (title, run) =>
        test(title, async () => {
          await run(pair());
          pair().verify();
        }),
    });
  });
}
