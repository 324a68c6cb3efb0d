/** What a node's processes are, and take. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { CriDaemon } from "./cri.ts";

/** All processes of a node: those below its machine's first one and below its daemon. */
export function processesOf(node: CriDaemon): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    const [, parent] = /\) \S (\d+) /.exec(contentOf(`/proc/${entry}/stat`)) ?? [];
    if (!/^\d+$/.test(entry) || parent === undefined) continue;
    const siblings = children.get(Number(parent)) ?? [];
    children.set(Number(parent), [...siblings, Number(entry)]);
  }
  const below = (pid: number): number[] => [pid, ...(children.get(pid) ?? []).flatMap(below)];
  return [...new Set([...(children.get(node.machine.pid) ?? []).flatMap(below), ...below(node.server.pid)])];
}

/** Milliseconds of processor that a process has taken, with the `children` that it has waited for or without. proc(5): ticks of 10 ms. */
export function ticksOf(pid: number, { children = true } = {}): number {
  const fields = contentOf(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
  const wanted = children ? [11, 12, 13, 14] : [11, 12];
  return wanted.reduce((sum, field) => sum + Number(fields[field] ?? 0), 0) * 10;
}

/** A file of a process; empty if it has ended. */
export function contentOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The daemon and its shims. */
export function ownProcessesOf(node: CriDaemon): number[] {
  const own = programOf(node.server.pid);
  return processesOf(node).filter((pid) => {
    const program = programOf(pid);
    return program === own || /\/containerd-shim-[^/]*$/.test(program);
  });
}

/** A process's program; empty for one that has ended. */
function programOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return "";
  }
}
