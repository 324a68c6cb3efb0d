import type { CriStreams } from "./cri/streams.ts";

/** What the streams of a process offer while it lives, whether they are FIFOs or a terminal. */
export interface ProcessStreams {
  /** Only of those that are named so. */
  readonly cri: CriStreams | undefined;
  /** The process sees the end of its input once the clients have closed theirs. */
  closeStdin(): void;
  /** The process has ended: readers see the end of its output, once they have read it all. */
  finish(): void;
  /** Resolves when the output has reached its readers, as far as a copy was needed. */
  drained(): Promise<void>;
  /** Closes everything at once. */
  close(): void;
}
