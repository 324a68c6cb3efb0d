import type { Client } from "../client.ts";
import type { Output } from "../sdk/output.ts";
import type { RunningContainer } from "../sdk/running.ts";
import { type ContainerStats, countsOf } from "../sdk/stats.ts";
import type { SandboxLimits, SandboxOptions } from "./options.ts";

/** How a sandbox's program ended. */
export interface Ended {
  /** The limit for which it was killed here. */
  readonly stopped: "timeout" | "output" | undefined;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
  readonly wallMs: number;
  /** Of its control group, which is there until it is taken away. */
  readonly counted: ContainerStats | undefined;
}

/** Lets a program go on until it ends, or its time, its output or the caller's signal ends it. */
export async function untilEnd(
  client: Client,
  container: RunningContainer,
  { onOutput = () => {}, signal }: SandboxOptions,
  limits: SandboxLimits,
  startedAt: number,
): Promise<Ended> {
  let stopped: Ended["stopped"];
  // It may have ended at that moment, and there is nobody to be told: the exit tells.
  const kill = (): void => void container.kill("SIGKILL").catch(() => {});
  const stop = (why: NonNullable<Ended["stopped"]>): void => {
    stopped ??= why;
    kill();
  };
  using _timer = timer(limits.timeMs - (performance.now() - startedAt), () => stop("timeout"));
  signal?.addEventListener("abort", kill);
  if (signal?.aborted) kill();
  try {
    const budget = new Budget(limits.output, () => stop("output"));
    const [stdout, stderr, { code, wallMs }] = await Promise.all([
      budget.collect(container.stdout, (chunk) => onOutput(chunk, "stdout")),
      budget.collect(container.stderr, (chunk) => onOutput(chunk, "stderr")),
      container.exit.then(({ code }) => ({ code, wallMs: Math.round(performance.now() - startedAt) })),
    ]);
    const counted = await countsOf(client, container.id);
    return { stopped, code, stdout, stderr, truncated: budget.exceeded, wallMs, counted };
  } finally {
    signal?.removeEventListener("abort", kill);
  }
}

/** Bytes that streams may have together. */
class Budget {
  exceeded = false;
  #left: number;
  readonly #onExceeded: () => void;

  constructor(bytes: number, onExceeded: () => void) {
    this.#left = bytes;
    this.#onExceeded = onExceeded;
  }

  /** Reads to the end, and keeps what the budget allows. */
  async collect(output: Output, onChunk: (chunk: Uint8Array) => void): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of output) {
      const kept = chunk.subarray(0, this.#left);
      this.#left -= kept.length;
      if (kept.length > 0) {
        text += decoder.decode(kept, { stream: true });
        onChunk(kept);
      }
      if (kept.length === chunk.length || this.exceeded) continue;
      this.exceeded = true;
      this.#onExceeded();
    }
    return text + decoder.decode();
  }
}

function timer(ms: number, callback: () => void): Disposable {
  const handle = setTimeout(callback, Math.max(ms, 0));
  return { [Symbol.dispose]: () => clearTimeout(handle) };
}
