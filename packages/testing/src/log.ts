import type { RunningContainer } from "@hull/client";

/** Characters of output that are kept: the last ones. */
const kept = 1 << 20;

/**
 * What a container says, on both of its streams, line by line as it comes. It is read all the time, so that the container never waits for
 * a reader.
 */
export class OutputLog {
  /** Resolves when both streams have ended. */
  readonly ended: Promise<void>;
  #lines: string[] = [];
  /** Number of the first line that is kept. */
  #first = 0;
  #size = 0;
  #over = false;
  #changed = Promise.withResolvers<void>();

  constructor({ stdout, stderr }: Pick<RunningContainer, "stdout" | "stderr">) {
    this.ended = Promise.allSettled([this.#read(stdout.lines()), this.#read(stderr.lines())]).then(() => {
      this.#over = true;
      this.#tell();
    });
  }

  /** All that is kept. */
  get text(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }

  /** Each line from the first that is kept on, as they come, until the streams end or the signal is aborted. */
  async *lines(signal?: AbortSignal): AsyncGenerator<string, void, undefined> {
    const aborted = signal === undefined ? [] : [abortOf(signal)];
    for (let at = this.#first; ; ) {
      at = Math.max(at, this.#first);
      const line = this.#lines[at - this.#first];
      if (line !== undefined) {
        yield line;
        at++;
        continue;
      }
      if (this.#over || signal?.aborted === true) return;
      await Promise.race([this.#changed.promise, ...aborted]);
    }
  }

  async #read(lines: AsyncIterable<string>): Promise<void> {
    for await (const line of lines) {
      this.#lines.push(line);
      this.#size += line.length + 1;
      while (this.#size > kept && this.#lines.length > 1) {
        this.#size -= (this.#lines.shift()?.length ?? 0) + 1;
        this.#first++;
      }
      this.#tell();
    }
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Resolves when the signal is aborted. */
export function abortOf(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
