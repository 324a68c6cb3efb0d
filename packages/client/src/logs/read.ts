import { statSync, watch } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type ListedLog, logFiles, openIfThere, openListed } from "./files.ts";
import type { LogPlace } from "./place.ts";

const chunkSize = 64 * 1024;
const lineEnd = 10;

export interface ReadLogOptions {
  /** Begin so many lines before the end; with all unless told. */
  readonly tail?: number | undefined;
  /** Go on with what comes until this, which is called once, resolves. */
  readonly follow?: (() => Promise<unknown>) | undefined;
  /** Ends the reading, as if nothing more came. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The bytes of a log, the oldest file's first; nothing if there is none yet and none is waited for.
 * @throws the system's error
 */
export async function* readLog(
  place: LogPlace,
  { tail, follow, signal }: ReadLogOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const first = await openIfThere(place.file);
  if (first === undefined) return;
  await using log = new CurrentFile(place, first);
  // Watched before the first look, so that nothing is written unseen in between.
  using changes = follow === undefined ? undefined : new Changes(place);
  const older = await log.older();
  const { at, left } =
    tail === undefined ? { at: 0, left: Number.POSITIVE_INFINITY } : await startOfTail(log.handle, tail);
  let ended = follow === undefined;
  const end = (): void => {
    ended = true;
    changes?.wake();
  };
  const following = follow?.();
  following?.then(end, end);
  signal?.addEventListener("abort", end, { once: true });
  try {
    yield* readOlder(place, older, left);
    log.at = at;
    for (;;) {
      // Asked before the last look, for the same reason.
      const last = ended;
      yield* log.read();
      while (await log.findNext()) {
        // What came between the last look and the beginning of the next file: from now on nothing comes any more.
        yield* log.read();
        await log.turn();
        yield* log.read();
      }
      if (last || changes === undefined || signal?.aborted) break;
      await changes.next();
    }
    // Why the end can't be known is told when all is read that there is.
    if (signal?.aborted !== true) await following;
  } finally {
    signal?.removeEventListener("abort", end);
  }
}

/** Tells when a log has been written to. */
class Changes implements Disposable {
  readonly #watcher: ReturnType<typeof watch>;
  #pending = false;
  #wake = (): void => {};

  constructor({ file, rotates }: LogPlace) {
    // A log that begins anew is another file of the same name.
    this.#watcher = watch(rotates ? dirname(file) : file, (_event, name) => {
      if (!rotates || name === null || name === basename(file)) this.wake();
    });
    this.#watcher.on("error", () => this.wake());
  }

  wake(): void {
    this.#pending = true;
    this.#wake();
  }

  /** Resolves when something has changed since this was asked for last. */
  async next(): Promise<void> {
    if (!this.#pending)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#pending = false;
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}

/** The file that is written to, or was when it was opened. */
class CurrentFile implements AsyncDisposable {
  readonly #place: LogPlace;
  handle: FileHandle;
  #next: FileHandle | undefined;
  at = 0;

  constructor(place: LogPlace, handle: FileHandle) {
    this.#place = place;
    this.handle = handle;
  }

  /** What is behind `at`. */
  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    // A log that was truncated begins anew.
    if ((await this.handle.stat()).size < this.at) this.at = 0;
    for await (const chunk of readFrom(this.handle, this.at)) {
      this.at += chunk.length;
      yield chunk;
    }
  }

  /** What the log was before this file. */
  async older(): Promise<ListedLog[]> {
    if (!this.#place.rotates) return [];
    const { ino } = await this.handle.stat();
    const files = logFiles(this.#place);
    const own = files.findIndex(({ inode }) => inode === ino);
    // Gone already, which needs fast writers and few files: all that is left came later.
    return own === -1 ? [] : files.slice(0, own);
  }

  /** Opens the file that came after this one, to be turned to. @returns false if none has */
  async findNext(): Promise<boolean> {
    const { file, rotates } = this.#place;
    if (!rotates) return false;
    const { ino } = await this.handle.stat();
    if (statSync(file, { throwIfNoEntry: false })?.ino === ino) return false;
    for (;;) {
      // It may have begun anew more than once: the next is the one after the file that is open now, or the oldest left.
      const files = logFiles(this.#place);
      const listed = files[files.findIndex(({ inode }) => inode === ino) + 1];
      if (listed === undefined) return false;
      this.#next = await openListed(this.#place, listed);
      if (this.#next !== undefined) return true;
    }
  }

  async turn(): Promise<void> {
    if (this.#next === undefined) return;
    await this.handle.close();
    this.handle = this.#next;
    this.#next = undefined;
    this.at = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
    await this.#next?.close();
  }
}

/** The last so many lines of what a log was before, the oldest file first. */
async function* readOlder(
  place: LogPlace,
  files: readonly ListedLog[],
  lines: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using opened = new AsyncDisposableStack();
  const parts: { handle: FileHandle; at: number }[] = [];
  let left = lines;
  for (const file of files.toReversed()) {
    if (left <= 0) break;
    const handle = await openListed(place, file);
    if (handle === undefined) continue;
    opened.defer(() => handle.close());
    const tail = left === Number.POSITIVE_INFINITY ? { at: 0, left } : await startOfTail(handle, left);
    parts.unshift({ handle, at: tail.at });
    left = tail.left;
  }
  for (const { handle, at } of parts) yield* readFrom(handle, at);
}

async function* readFrom(handle: FileHandle, start: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = start; ; ) {
    const { bytesRead, buffer } = await handle.read(new Uint8Array(chunkSize), 0, chunkSize, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Where the last so many lines begin, found from the end, and how many are missing. */
async function startOfTail(handle: FileHandle, lines: number): Promise<{ at: number; left: number }> {
  const { size } = await handle.stat();
  if (lines === 0) return { at: size, left: 0 };
  const buffer = new Uint8Array(chunkSize);
  let left = lines;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunkSize);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--) {
      // The line end at the very end of the file ends the last line.
      if (buffer[i] === lineEnd && start + i !== size - 1 && --left === 0) return { at: start + i + 1, left };
    }
    end = start;
  }
  // The first line has no line end before it.
  return { at: 0, left: size === 0 ? left : left - 1 };
}
