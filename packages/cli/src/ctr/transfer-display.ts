import type { TransferProgress } from "@hull/client/transfer";
import { formatBytes, type Host } from "../command/index.ts";

const barWidth = 38;
/** Milliseconds between two drawings. */
const interval = 100;

/**
 * The progress of a transfer: on a terminal a line per blob, drawn again in place; elsewhere a line whenever a blob's state changes.
 */
export class TransferDisplay implements Disposable {
  readonly #host: Host;
  readonly #terminal = process.stdout.isTTY === true;
  readonly #started = performance.now();
  readonly #rows = new Map<string, TransferProgress>();
  #drawn = 0;
  #next: ReturnType<typeof setTimeout> | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  show(progress: TransferProgress): void {
    const { name, event } = progress;
    const before = this.#rows.get(name);
    this.#rows.set(name, progress);
    if (!this.#terminal) {
      if (before?.event !== event) this.#host.out(name === "" ? `${event}\n` : `${name}: ${event}\n`).catch(() => {});
      return;
    }
    this.#next ??= setTimeout(() => {
      this.#next = undefined;
      this.#draw();
    }, interval);
  }

  /** Shows how it ended. */
  finish(): void {
    clearTimeout(this.#next);
    this.#next = undefined;
    if (this.#terminal) this.#draw();
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1);
    this.#host.out(`elapsed: ${seconds.padEnd(4)}s\ttotal: ${formatBytes(this.#total())}\n`).catch(() => {});
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#next);
  }

  #total(): number {
    return [...this.#rows.values()].reduce((sum, { progress }) => sum + progress, 0);
  }

  #draw(): void {
    const columns = process.stdout.columns ?? 80;
    const lines = [...this.#rows.values()]
      .filter(({ name }) => name !== "")
      .map((row) => lineOf(row).slice(0, columns - 1));
    // Up to where the last drawing began, and each line cleared to its end.
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : "";
    this.#drawn = lines.length;
    this.#host.out(up + lines.map((line) => `${line}\x1b[K\n`).join("")).catch(() => {});
  }
}

function lineOf({ name, event, progress, total }: TransferProgress): string {
  const done = ["complete", "extracted", "already exists", "done", "saved", "pushed content"].includes(event);
  const part = done ? 1 : total > 0 ? Math.min(1, progress / total) : 0;
  const filled = Math.round(part * barWidth);
  const bar = `|${"+".repeat(filled)}${"-".repeat(barWidth - filled)}|`;
  const bytes = !done && total > 0 ? ` ${formatBytes(progress)}/${formatBytes(total)}` : "";
  return `${`${name.slice(0, 40)}:`.padEnd(42)}${event.padEnd(15)}${bar}${bytes}`;
}
