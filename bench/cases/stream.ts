import { mkdirSync } from "node:fs";
import type { Scratch } from "../../test/support/scratch.ts";
import type { StreamFigures, StreamOptions } from "../programs/stream.ts";
import { figure, type Table, verdict } from "../report.ts";
import { figuresOf, program, runtimes } from "../runtimes.ts";
import { median } from "../sample.ts";

/** At least so much of a pipe's rate. */
const target = 0.8;

/** Bytes through stdin and stdout of `cat`, in a container and as a child process, and what is taken in while nobody reads. */
export async function streamCase(
  folder: Scratch,
  { archive, rounds, bytes }: { archive: string; rounds: number; bytes: number },
): Promise<Table> {
  const rows: string[][] = [];
  for (const runtime of runtimes) {
    const own = folder.join(`stream-${rows.length}`);
    mkdirSync(own);
    const options: StreamOptions = { folder: own, archive, rounds, bytes };
    const { container, pipe, heldBack } = await figuresOf<StreamFigures>(runtime, program("stream"), options);
    const ratio = median(container.map((rate, round) => rate / (pipe[round] ?? Number.NaN)));
    rows.push([
      runtime.name,
      ...[container, pipe].map((rates) => figure(median(rates))),
      ratio.toFixed(2),
      verdict(ratio, "≥", target),
      figure(heldBack.written),
      figure(heldBack.growth),
    ]);
  }
  return {
    title: `${bytes / 2 ** 20} MiB through \`cat\` (MiB/s); what goes in while nobody reads, and what the program grows by (MiB)`,
    header: ["runtime", "container", "child process", "ratio", "target", "taken in", "growth"],
    rows,
  };
}
