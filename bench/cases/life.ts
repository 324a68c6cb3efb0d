import { mkdirSync } from "node:fs";
import type { Scratch } from "../../test/support/scratch.ts";
import type { LifeFigures, LifeOptions } from "../programs/life.ts";
import { figure, type Table, verdict } from "../report.ts";
import { figuresOf, program, runtimes } from "../runtimes.ts";
import { median } from "../sample.ts";

/** At most so much of the time by hand. */
const target = 1.35;

/** A container's life by an engine in the program, beside the same OCI runtime driven by hand. The ratio is the median of the rounds' own. */
export async function lifeCase(folder: Scratch, archive: string, rounds: number): Promise<Table> {
  const rows: string[][] = [];
  for (const runtime of runtimes) {
    const own = folder.join(`life-${rows.length}`);
    mkdirSync(own);
    const options: LifeOptions = { folder: own, archive, rounds, runtime: "/usr/sbin/runc" };
    const figures = await figuresOf<LifeFigures>(runtime, program("life"), options);
    for (const [name, engine] of [
      ["run of /bin/true, output read", figures.engine],
      ["the same without streams", figures.engineNull],
    ] as const) {
      const ratio = median(engine.map((ms, round) => ms / (figures.hand[round] ?? Number.NaN)));
      const times = [engine, figures.hand].map((ms) => figure(median(ms)));
      rows.push([name, runtime.name, ...times, ratio.toFixed(2), verdict(ratio, "≤", target)]);
    }
  }
  return {
    title: "A life by the engine in a program, and by runc driven by hand (ms)",
    header: ["work", "runtime", "engine", "by hand", "ratio", "target"],
    rows,
  };
}
