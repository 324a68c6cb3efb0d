import { readableOf } from "./readable.ts";

/** What a process writes: bytes as they come, once. Whoever doesn't read holds the process up when its pipe is full. */
export class Output implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterable<Uint8Array>;
  #taken = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    if (this.#taken) throw new TypeError("this output is being read already, or has been: it comes once");
    this.#taken = true;
    return this.#source[Symbol.asyncIterator]();
  }

  /** The same as a Web stream. */
  get readable(): ReadableStream<Uint8Array> {
    return readableOf(this[Symbol.asyncIterator]());
  }

  /**
   * All of it. What is behind `limit` bytes (none unless told) is read and dropped, so that the process can end.
   * @returns the bytes, and whether there were more
   */
  async bytes({ limit = Number.POSITIVE_INFINITY } = {}): Promise<{ bytes: Uint8Array; truncated: boolean }> {
    const kept: Uint8Array[] = [];
    let size = 0;
    let truncated = false;
    for await (const chunk of this) {
      const room = limit - size;
      if (chunk.length > room) truncated = true;
      if (room <= 0) continue;
      const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
      kept.push(part);
      size += part.length;
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const part of kept) {
      bytes.set(part, at);
      at += part.length;
    }
    return { bytes, truncated };
  }

  /** All of it as UTF-8. */
  async text(): Promise<string> {
    return new TextDecoder().decode((await this.bytes()).bytes);
  }

  /** Line by line as they come, without their ends. */
  async *lines(): AsyncGenerator<string, void, undefined> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
    rest += decoder.decode();
    if (rest !== "") yield rest;
  }
}
