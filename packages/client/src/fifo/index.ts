/**
 * The seam to FIFOs: by system calls under Bun, by Node's own means elsewhere, where a client then needs no foreign functions. Which one it
 * is `package.json` says (`#fifo`).
 */

/** This program's end of a FIFO. */
export interface FifoEnd {
  /** What comes, until all writers have gone. */
  read(): AsyncIterable<Uint8Array>;
  /** Resolves when the FIFO has taken all of it. @throws with the code EPIPE if nobody reads any more */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes it when all that was written has been taken. */
  finish(): Promise<void>;
  /** May be called twice. */
  close(): void;
}

export interface Fifos {
  /** Makes FIFOs of these names in a folder of their own, and gives it. */
  makeFifos(names: readonly string[]): Promise<string>;
  /** Reading it may begin when a writer has opened it, too: before, it would end at once. */
  openOutput(path: string): FifoEnd;
  openInput(path: string): FifoEnd;
  removeFifoFolder(folder: string): void;
}

/** Where folders of FIFOs are made by root, whose daemon may run in another mount namespace than programs' /tmp. */
export const rootFolder = "/run/hull/fifo";
