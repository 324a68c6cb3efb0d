/** The log file of a CRI container: what both outputs write goes into one file, which somebody else renames when it has become large. */

import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { systemTime } from "@hull/sys/clock";
import { leaveBehind, onRest } from "../idle.ts";
import { LogLines, type OutputName } from "./log-lines.ts";

/** One for all logs, since what is written is on its way at once. */
let shared: Buffer | undefined;

onRest(() => {
  shared = undefined;
});

/** Whoever may read the containers' logs is in root's group. */
const mode = 0o640;

/** A log that is open. */
export class CriLogFile {
  readonly path: string;
  readonly #lines: Record<OutputName, LogLines>;
  #fd: number | undefined;

  /** Opens the file, to be appended to; its directory is made if it is missing. @param maxLine see `LogLines` @throws the system's error */
  constructor(path: string, maxLine: number) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, "a", mode);
    this.#lines = { stdout: new LogLines("stdout", maxLine), stderr: new LogLines("stderr", maxLine) };
  }

  /** Writes what is complete of an output with this chunk. */
  take(output: OutputName, chunk: Buffer): void {
    this.#write(this.#lines[output].take(chunk, systemTime()));
    leaveBehind(chunk.length);
  }

  /** The output has ended, for now at least: writes a line that has no end. */
  end(output: OutputName): void {
    this.#write(this.#lines[output].end(systemTime()));
  }

  /** Opens the file of this name anew. @throws the system's error; the log goes on in the file that it was in */
  reopen(): void {
    if (this.#fd === undefined) return;
    const fd = openSync(this.path, "a", mode);
    closeSync(this.#fd);
    this.#fd = fd;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #write(text: string): void {
    if (text === "" || this.#fd === undefined) return;
    shared ??= Buffer.allocUnsafeSlow(128 * 1024);
    const scratch = shared;
    try {
      for (let from = 0; from < text.length; from += scratch.length) {
        const part = text.length > scratch.length ? text.slice(from, from + scratch.length) : text;
        const count = scratch.write(part, "latin1");
        for (let at = 0; at < count; ) at += writeSync(this.#fd, scratch, at, count - at);
      }
    } catch {
      // The disk is full, say: what can't be kept is lost, but the process is not to stand still, or die, for that.
    }
  }
}
