import type { Profiler } from "node:inspector";
import { resourceExhausted } from "@hull/errors";
import { type Place, ProfileBuilder } from "./profile.ts";

/** Between two looks at the stack, µs. */
const intervalUs = 1000;

let isRunning = false;

/**
 * Where this process spends its time for `ms`, as a profile.
 * @throws ResourceExhausted while another one is taken
 */
export async function cpuProfile(ms: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  if (isRunning) throw resourceExhausted("a CPU profile is being taken already: ask again when it is done");
  isRunning = true;
  try {
    const { Session } = await import("node:inspector/promises");
    const session = new Session();
    session.connect();
    try {
      await session.post("Profiler.enable");
      await session.post("Profiler.setSamplingInterval", { interval: intervalUs });
      await session.post("Profiler.start");
      await wait(ms, signal);
      const { profile } = await session.post("Profiler.stop");
      return toPprof(profile, ms);
    } finally {
      session.disconnect();
    }
  } finally {
    isRunning = false;
  }
}

/** A V8-style CPU profile in pprof's format: a sample for each place of the tree where time was spent. */
export function toPprof(
  { nodes, samples = [], timeDeltas = [] }: Profiler.Profile,
  durationMs: number,
): Uint8Array<ArrayBuffer> {
  const builder = new ProfileBuilder([
    ["samples", "count"],
    ["cpu", "nanoseconds"],
  ]);
  const spent = new Map<number, { count: number; us: number }>();
  for (const [index, id] of samples.entries()) {
    const sum = spent.get(id) ?? { count: 0, us: 0 };
    spent.set(id, sum);
    sum.count++;
    // The first one's is the time since the start of the profile.
    sum.us += index === 0 ? intervalUs : Math.max(0, timeDeltas[index] ?? intervalUs);
  }
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  for (const [id, { count, us }] of spent) {
    const stack: Place[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = byId.get(at)?.callFrame;
      // The root stands for no function.
      if (frame === undefined || parents.get(at) === undefined) continue;
      stack.push({ name: frame.functionName || "(anonymous)", file: frame.url, line: frame.lineNumber + 1 });
    }
    if (stack.length > 0) builder.add(stack, [count, us * 1000]);
  }
  return builder.finish({ durationMs, period: { kind: ["cpu", "nanoseconds"], value: intervalUs * 1000 } });
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
