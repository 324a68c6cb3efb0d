/**
 * Gives foreign bytes to every parser that meets any: each has to take them or refuse them with an error of ours, in little time.
 *
 *   bun test/fuzz/fuzz.ts [--seconds N] [--seed N] [--only NAME,…]     60 seconds, shared by all; prints what to repeat a finding with
 */
import { parseArgs } from "node:util";
import { HullError } from "@hull/errors";
import { mutate, Random } from "./mutate.ts";
import { removeScratch, type Target, targets } from "./targets.ts";

/** What came of one parser. */
export interface Finding {
  readonly target: string;
  readonly problem: string;
  readonly input: Uint8Array;
}

export interface FuzzReport {
  readonly target: string;
  /** Inputs tried. */
  readonly tried: number;
  /** Of them, those that were taken. */
  readonly taken: number;
  readonly findings: readonly Finding[];
}

/** Longer than this for inputs of some kilobytes means that the time grows faster than the input, ms of processor time. */
const patience = 1000;
/** More findings of one parser are mostly the same one. */
const enough = 3;

export interface FuzzOptions {
  readonly milliseconds: number;
  /** As many inputs at most; any number unless told. */
  readonly inputs?: number;
  /** Leads to the same inputs each time. */
  readonly seed: number;
}

/** Tries mutations of a parser's samples for some time. */
export async function fuzz(
  target: Target,
  { milliseconds, inputs = Number.POSITIVE_INFINITY, seed }: FuzzOptions,
): Promise<FuzzReport> {
  const random = new Random(seed);
  const findings: Finding[] = [];
  // Not as Buffers, whose slice() shares its bytes.
  const samples = target.samples.map((sample) => new Uint8Array(sample));
  const end = performance.now() + milliseconds;
  let tried = 0;
  let taken = 0;
  while (tried < inputs && performance.now() < end && findings.length < enough) {
    const input = mutate(samples, random);
    tried++;
    const before = process.cpuUsage();
    try {
      await target.parse(input);
      taken++;
    } catch (thrown) {
      if (!isRefusal(thrown, target)) findings.push({ target: target.name, problem: describe(thrown), input });
    }
    const { user } = process.cpuUsage(before);
    if (user / 1000 > patience) {
      findings.push({ target: target.name, problem: `took ${Math.round(user / 1000)} ms`, input });
    }
  }
  return { target: target.name, tried, taken, findings };
}

function isRefusal(thrown: unknown, { refusal }: Target): boolean {
  if (refusal?.(thrown) === true) return true;
  // What is refused is the caller's fault; `internal` and `unknown` would be ours.
  return thrown instanceof HullError && !["internal", "unknown"].includes(thrown.code);
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}\n${thrown.stack ?? ""}` : String(thrown);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: String(Date.now() % 2 ** 31) },
      only: { type: "string" },
    },
  });
  const chosen = targets.filter(({ name }) => values.only === undefined || values.only.split(",").includes(name));
  const milliseconds = (Number(values.seconds) * 1000) / chosen.length;
  const seed = Number(values.seed);
  console.log(`seed ${seed}`);
  let failed = false;
  for (const target of chosen) {
    const { tried, taken, findings } = await fuzz(target, { milliseconds, seed });
    console.log(
      `${target.name.padEnd(24)} ${String(tried).padStart(9)} inputs, ${taken} taken, ${findings.length} found`,
    );
    for (const { problem, input } of findings) {
      failed = true;
      console.log(`  ${problem}\n  input (base64): ${Buffer.from(input).toString("base64").slice(0, 4000)}`);
    }
  }
  removeScratch();
  if (failed) process.exit(1);
}
