/**
 * Output in the form of the CRI's log files:
 *
 *   2026-01-02T03:04:05.123456789Z stdout F a whole line
 *   2026-01-02T03:04:05.123456789Z stderr P the first part of a long one
 *
 * `P` marks a part: of a line that is longer than allowed, or of one that its process never ended. A line's end may be "\r\n". The time is when
 * the end of the line, or of the part, was read.
 *
 * Everything is text of one byte a character (latin1): what was read is neither decoded nor changed. Whole chunks go through the engine's own
 * string functions, since a shim runs without compilers: a loop over lines would take ten times as long.
 *
 * Source: Kubernetes' design "Redesign container logging" (kubelet-cri-logging.md); the splitting is containerd's.
 */

import type { SystemTime } from "@hull/sys/clock";

/** Which of a process's two outputs. */
export type OutputName = "stdout" | "stderr";

/** Lines of one output. */
export class LogLines {
  readonly #output: OutputName;
  readonly #maxLine: number;
  readonly #exact: boolean;
  /** What came behind the last line's end. At most one character longer than a part may be, a "\r" that may belong to an end. */
  #rest = "";

  /** @param maxLine bytes of the longest line that is not split; 0 or less: none is @param exact a "\r" before a line's end is kept */
  constructor(output: OutputName, maxLine: number, { exact = false }: { exact?: boolean } = {}) {
    this.#output = output;
    this.#exact = exact;
    this.#maxLine = maxLine > 0 ? maxLine : Number.POSITIVE_INFINITY;
  }

  /** Takes a chunk of output. @returns the log's text that it makes complete, latin1 */
  take(chunk: Buffer, now: SystemTime): string {
    const text = this.#rest + chunk.toString("latin1");
    const end = text.lastIndexOf("\n") + 1;
    const start = lineStart(now, this.#output);
    const whole = end === 0 ? "" : this.#wholeLines(text.slice(0, end), start);
    const { parts, rest } = this.#split(text.slice(end), start);
    this.#rest = rest;
    return whole + parts;
  }

  /** The output has ended. @returns the log's text of what has no line end */
  end(now: SystemTime): string {
    const rest = this.#rest;
    this.#rest = "";
    return rest === "" ? "" : `${lineStart(now, this.#output)}P ${rest}\n`;
  }

  #wholeLines(text: string, start: string): string {
    const lines = !this.#exact && text.includes("\r\n") ? text.replaceAll("\r\n", "\n") : text;
    if (this.#hasLonger(lines)) {
      return lines
        .slice(0, -1)
        .split("\n")
        .map((line) => {
          const { parts, rest } = this.#split(line, start, 0);
          return `${parts}${start}F ${rest}\n`;
        })
        .join("");
    }
    return `${start}F ${lines.slice(0, -1).replaceAll("\n", `\n${start}F `)}\n`;
  }

  /** Whether a line is longer than allowed, found in steps of that length. */
  #hasLonger(lines: string): boolean {
    for (let at = 0; lines.length - at > this.#maxLine + 1; ) {
      const next = lines.lastIndexOf("\n", at + this.#maxLine);
      if (next < at) return true;
      at = next + 1;
    }
    return false;
  }

  /** Cuts parts off a line while it is too long. */
  #split(
    line: string,
    start: string,
    unsure = !this.#exact && line.endsWith("\r") ? 1 : 0,
  ): { parts: string; rest: string } {
    let parts = "";
    let at = 0;
    for (; line.length - at - unsure > this.#maxLine; at += this.#maxLine) {
      parts += `${start}P ${line.slice(at, at + this.#maxLine)}\n`;
    }
    return { parts, rest: at === 0 ? line : line.slice(at) };
  }
}

/** The second that was written last, and its text: most lines come in the same one as those before. */
let known = { seconds: Number.NaN, text: "", zone: "" };

/** `2026-01-02T03:04:05.123456789Z stdout `, in the local time zone as containerd writes it. */
function lineStart({ seconds, nanos }: SystemTime, output: OutputName): string {
  if (known.seconds !== seconds) known = { seconds, ...localTime(seconds) };
  return `${known.text}.${String(nanos).padStart(9, "0")}${known.zone} ${output} `;
}

function localTime(seconds: number): { text: string; zone: string } {
  const minutes = -new Date(seconds * 1000).getTimezoneOffset();
  const text = new Date((seconds + minutes * 60) * 1000).toISOString().slice(0, 19);
  if (minutes === 0) return { text, zone: "Z" };
  const digits = (value: number): string => String(value).padStart(2, "0");
  const size = Math.abs(minutes);
  return { text, zone: `${minutes < 0 ? "-" : "+"}${digits(Math.floor(size / 60))}:${digits(size % 60)}` };
}
