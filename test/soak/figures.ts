import { readdirSync, readFileSync } from "node:fs";
import { processesBelow } from "../support/store-state.ts";

/** What a daemon and its shims held at one moment. */
export interface Figures {
  /** Seconds since the beginning. */
  readonly at: number;
  /** Containers whose lives were over. */
  readonly lives: number;
  /** MiB */
  readonly daemonRss: number;
  readonly daemonDescriptors: number;
  readonly shims: number;
  /** MiB, the largest of the shims. */
  readonly shimRss: number;
  readonly shimDescriptors: number;
}

/** The figures of now; a shim that ends meanwhile isn't counted. `state` is the daemon's state directory. */
export function figuresOf(daemon: { pid: number; state: string }, since: { at: number; lives: number }): Figures {
  const own = figuresOfProcess(daemon.pid);
  const shims = processesBelow(daemon.state)
    .filter(({ pid, line }) => pid !== daemon.pid && /\bshim\b/.test(line))
    .flatMap(({ pid }) => {
      const figures = figuresOfProcess(pid);
      return figures === undefined ? [] : [figures];
    });
  return {
    at: (performance.now() - since.at) / 1000,
    lives: since.lives,
    daemonRss: own?.rss ?? 0,
    daemonDescriptors: own?.descriptors ?? 0,
    shims: shims.length,
    shimRss: Math.max(0, ...shims.map(({ rss }) => rss)),
    shimDescriptors: Math.max(0, ...shims.map(({ descriptors }) => descriptors)),
  };
}

function figuresOfProcess(pid: number): { rss: number; descriptors: number } | undefined {
  try {
    const rss = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    if (rss === undefined) return undefined;
    return { rss: Number(rss) / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    return undefined; // it has ended
  }
}
