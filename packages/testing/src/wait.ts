import { setTimeout as pause } from "node:timers/promises";
import { deadlineExceeded, failedPrecondition, HullError } from "@hull/errors";
import type { TestContainer } from "./container.ts";
import { listens } from "./listening.ts";
import { abortOf } from "./log.ts";

/** Something that has to come about before a container counts as up. */
export interface WaitStrategy {
  /** What is waited for, for messages: `port 5432`. */
  readonly what: string;
  /** The container may end meanwhile; without this its end is a failure. */
  readonly mayEnd?: boolean;
  /** Resolves when it has come about; the signal says that nobody waits any more. @throws what makes it impossible */
  wait(container: TestContainer, signal: AbortSignal): Promise<void>;
}

/** Until a line of the output matches, or as many lines as `times` says (1). */
export function forLog(pattern: RegExp | string, { times = 1 }: { readonly times?: number } = {}): WaitStrategy {
  // One with the flag "g" or "y" would go on behind its last match.
  const matcher =
    typeof pattern === "string" ? undefined : new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
  const matches = (line: string): boolean => matcher?.test(line) ?? line.includes(String(pattern));
  return {
    what: `the log line ${typeof pattern === "string" ? JSON.stringify(pattern) : pattern}${times === 1 ? "" : `, ${times} times`}`,
    mayEnd: true,
    async wait({ log }, signal) {
      let left = times;
      for await (const line of log.lines(signal)) if (matches(line) && --left <= 0) return;
      if (!signal.aborted) throw failedPrecondition("its output ended without that");
    },
  };
}

/** Until something in the container listens on a TCP port. It needn't be published: nothing connects. */
export function forPort(port: number): WaitStrategy {
  return {
    what: `port ${port}`,
    async wait({ container }, signal) {
      // What listens on loopback alone isn't reached by others, unless that is the host's.
      const loopbackCounts = container.address === undefined || container.address === "127.0.0.1";
      // The kernel tells nobody when a socket begins to listen.
      for (let interval = 10; !signal.aborted; interval = Math.min(interval * 1.5, 200)) {
        if (await listens(container.pid, port, loopbackCounts)) return;
        await pause(interval, undefined, { signal }).catch(() => {});
      }
    },
  };
}

/** Until a command in the container ends with 0; it is run every so many milliseconds (200). */
export function forHealth(
  command: readonly string[],
  { intervalMs = 200 }: { readonly intervalMs?: number } = {},
): WaitStrategy {
  return {
    what: `the command "${command.join(" ")}" to succeed`,
    async wait({ container }, signal) {
      while (!signal.aborted) {
        await using process = await container.exec(command, { stdout: "ignore", stderr: "ignore" });
        const ended = await Promise.race([process.exit, abortOf(signal)]);
        if (ended?.code === 0) return;
        await pause(intervalMs, undefined, { signal }).catch(() => {});
      }
    },
  };
}

/** Until the container ends with a status (0). */
export function forExit(code = 0): WaitStrategy {
  return {
    what: `its end with status ${code}`,
    mayEnd: true,
    async wait({ container, log }, signal) {
      const ended = await Promise.race([container.exit, abortOf(signal)]);
      if (ended === undefined) return;
      await log.ended;
      if (ended.code !== code) throw failedPrecondition(`it ended with status ${ended.code}`);
    },
  };
}

/**
 * Waits for all of them.
 * @throws DeadlineExceeded or FailedPrecondition, with what was waited for and the container's output
 */
export async function waitForAll(
  container: TestContainer,
  strategies: readonly WaitStrategy[],
  timeoutMs: number,
): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const timer = setTimeout(() => controller.abort(), timeoutMs);
  try {
    await Promise.all(strategies.map((strategy) => waitFor(container, strategy, signal, timeoutMs)));
  } finally {
    clearTimeout(timer);
    // The others need wait no longer.
    controller.abort();
  }
}

async function waitFor(
  container: TestContainer,
  strategy: WaitStrategy,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  const end = strategy.mayEnd === true ? [] : [endOf(container)];
  try {
    await Promise.race([strategy.wait(container, signal), abortOf(signal), ...end]);
    if (signal.aborted) throw deadlineExceeded(`not within ${timeoutMs} ms`);
  } catch (error) {
    // An end is what explains the rest: no command runs in a container that has ended.
    const why = await Promise.race([...end, pause(end.length === 0 ? 0 : endMs, error)]).catch(
      (ended: unknown) => ended,
    );
    throw await explained(HullError.from(why), container, strategy.what);
  }
}

/** From the failure of something in a container to the news of its end, at most, ms. */
const endMs = 300;

/** Rejects when the container ends. */
async function endOf({ container }: TestContainer): Promise<never> {
  const { code } = await container.exit;
  throw failedPrecondition(`it ended with status ${code}`);
}

async function explained({ code, message, cause }: HullError, container: TestContainer, what: string) {
  // The last words of one that has ended may be on their way.
  if (container.ended) await Promise.race([container.log.ended, pause(1000)]);
  const output = container.output === "" ? "It said nothing." : `It said:\n${container.output}`;
  const failure = `container of image "${container.image}" did not come up: ${message}, waited for: ${what}`;
  return new HullError(code, `${failure}\n${output}`, { cause });
}
