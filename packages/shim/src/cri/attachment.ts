/**
 * A client that takes part in a process's streams.
 *
 * It is given copies of what is read while it is there. One that doesn't keep up holds the process up, as it does with containerd, so that it
 * misses nothing; but not for ever: when it has taken nothing for a while it is let go, and the process goes on.
 */

import { resourceExhausted } from "@hull/errors";
import type { OutputName } from "./log-lines.ts";

/** Output for a client; one of both has bytes. */
export type OutputPart = { readonly [output in OutputName]?: Uint8Array };

/** How many bytes may wait for a client before the process does. */
const maximumHeld = 256 * 1024;
/** How long a client that has so much waiting may take nothing of it. */
const defaultPatienceMs = 10_000;

/** One client's side: iterating gives it the output, to its end. */
export class Attachment implements AsyncIterable<OutputPart> {
  readonly #wants: Readonly<Record<OutputName, boolean>>;
  readonly #patienceMs: number;
  #parts: OutputPart[] = [];
  #held = 0;
  #end: { error?: Error } | undefined;
  #wake = Promise.withResolvers<void>();
  /** While too much is held. */
  #behind: { taken: PromiseWithResolvers<void>; timer: ReturnType<typeof setTimeout> } | undefined;

  constructor(wants: Readonly<Record<OutputName, boolean>>, { patienceMs = defaultPatienceMs } = {}) {
    this.#wants = wants;
    this.#patienceMs = patienceMs;
  }

  wants(output: OutputName): boolean {
    return this.#wants[output] && this.#end === undefined;
  }

  get wantsAny(): boolean {
    return this.wants("stdout") || this.wants("stderr");
  }

  /** Gives it bytes to keep. @returns when to go on, if it is too far behind */
  give(output: OutputName, bytes: Uint8Array): Promise<void> | undefined {
    if (!this.wants(output)) return undefined;
    this.#parts.push({ [output]: bytes });
    this.#held += bytes.length;
    this.#wake.resolve();
    if (this.#held <= maximumHeld) return undefined;
    this.#behind ??= { taken: Promise.withResolvers(), timer: this.#patience() };
    return this.#behind.taken.promise;
  }

  #patience(): ReturnType<typeof setTimeout> {
    const seconds = this.#patienceMs / 1000;
    const error = resourceExhausted(`the attached client has taken no output for ${seconds} seconds: it is let go`);
    return setTimeout(() => {
      this.#parts = [];
      this.end(error);
    }, this.#patienceMs).unref();
  }

  /** Nothing more comes; what was given is still there to be taken. */
  end(error?: Error): void {
    this.#end ??= { error };
    this.#wake.resolve();
    this.#goOn();
  }

  #goOn(): void {
    clearTimeout(this.#behind?.timer);
    this.#behind?.taken.resolve();
    this.#behind = undefined;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<OutputPart, void> {
    for (;;) {
      const part = this.#parts.shift();
      if (part !== undefined) {
        this.#held -= part.stdout?.length ?? part.stderr?.length ?? 0;
        if (this.#held <= maximumHeld / 4) this.#goOn();
        else this.#behind?.timer.refresh();
        yield part;
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        this.#wake = Promise.withResolvers();
        await this.#wake.promise;
      }
    }
  }
}
