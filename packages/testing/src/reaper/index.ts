/**
 * The reaper: a process beside the test process, which takes away what that has left when it is gone, however it went.
 *
 *   start ──► it holds the end of a pipe, whose other end is this process's ──► (this process ends, or dismisses it) ──► it cleans up, ends
 *
 * The kernel closes a pipe of a process that dies, whatever killed it.
 */
import { fileURLToPath } from "node:url";
import { startProgram } from "@hull/sys/program";
import type { Place } from "../place.ts";

/** What the reaper is told, as one line of JSON. */
export interface ReaperOrder {
  readonly session: string;
  readonly place: Place;
  /** The session's own, to be deleted at last. */
  readonly folder: string;
}

/** The line that ends it without any work. */
export const dismissal = "dismissed";

/** For the end of one that is dismissed, ms. */
const patienceMs = 10_000;

export interface Reaper {
  /** There is nothing left to do. */
  dismiss(): Promise<void>;
}

export function startReaper(order: ReaperOrder): Reaper {
  // The published package has it under another name.
  const program = import.meta.url.endsWith(".ts") ? "./main.ts" : "./testing-reaper.js";
  const child = startProgram([process.execPath, fileURLToPath(new URL(program, import.meta.url))], {
    stdio: ["pipe", "ignore", "ignore"],
    // For an executable that Bun compiled: be Bun.
    env: { ...process.env, BUN_BE_BUN: "1", NODE_NO_WARNINGS: "1" },
    cwd: "/",
    // Ctrl+C at a terminal is for the tests: the reaper has yet to work.
    detached: true,
  });
  child.stdin.write(`${JSON.stringify(order)}\n`);
  child.stdin.flush();
  child.unref();
  return {
    async dismiss() {
      child.stdin.write(`${dismissal}\n`);
      child.stdin.flush();
      child.stdin.end();
      // It doesn't keep this process from ending, but this does.
      const hold = setTimeout(() => {}, patienceMs);
      await child.exited.finally(() => clearTimeout(hold));
    },
  };
}
