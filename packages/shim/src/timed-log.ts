/**
 * A log file whose lines have their time and output before them, in the form of the CRI's logs (see `cri/log-lines`), every byte of the text as it
 * was printed. It may be rotated; a line is in one file.
 */

import { systemTime } from "@hull/sys/clock";
import { LogLines, type OutputName } from "./cri/log-lines.ts";
import { leaveBehind } from "./idle.ts";
import { LogFile, type Rotation } from "./log-file.ts";
import { fileSink, type OutputSink } from "./logs.ts";

/** Bytes of the longest line that is not split: as long as a shim is to keep of one that goes on. */
const longestLine = 16 * 1024;

export class TimedLog {
  readonly #file: OutputSink;
  readonly #open = new Set<OutputName>(["stdout", "stderr"]);

  /** Opens the file, as `LogFile` does. @throws the system's error */
  constructor(path: string, rotation?: Rotation) {
    this.#file = fileSink(new LogFile(path, rotation));
  }

  /** Where one output goes. The file is closed with the last one. */
  sink(output: OutputName): OutputSink {
    const lines = new LogLines(output, longestLine, { exact: true });
    const write = (text: string): void => {
      if (text !== "") void this.#file.take(Buffer.from(text, "latin1"));
    };
    return {
      take: (chunk) => {
        write(lines.take(chunk, systemTime()));
        leaveBehind(chunk.length);
        return undefined;
      },
      end: () => write(lines.end(systemTime())),
      close: () => {
        if (!this.#open.delete(output)) return;
        write(lines.end(systemTime()));
        if (this.#open.size === 0) this.#file.close();
      },
    };
  }
}
