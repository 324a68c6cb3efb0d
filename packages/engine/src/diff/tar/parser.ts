import { applyRecords, type Draft, draftOf, SparseRecords } from "./draft.ts";
import type { TarSink } from "./entry.ts";
import { blockSize, damaged, type HeaderBlock, isZero, readNumber, verifyChecksum } from "./header.ts";
import { type PaxRecords, parsePax } from "./pax.ts";
import {
  checkSpans,
  parseSpanList,
  readGnuExtensionSpans,
  readGnuHeaderSpans,
  type Span,
  SpanLines,
} from "./sparse.ts";

/** Extended headers and long names are kept in memory: longer ones are refused. */
const maximumExtension = 1 << 20;

const noBytes = new Uint8Array(0);

/** Where the parser is. What each state waits for is in the name. */
type State =
  | "header"
  | "extension"
  | "gnuSparseBlock"
  | "paxSparseBlock"
  | "data"
  | "skippedData"
  | "padding"
  | "secondZeroBlock"
  | "ended";

type Extension = "K" | "L" | "x" | "g";

/**
 * Reads an archive as its bytes come, in chunks of any size, and tells a sink what is there.
 *
 * Nothing is kept but the header at hand, so memory does not grow with the archive. What comes after the end (two blocks of
 * zeros) is ignored; an archive that stops behind an entry's bytes is whole, also without what pads them to a block: there are
 * programs that write such layers.
 *
 * @throws invalidArgument, with the position, from `push` and `end` for an archive that is damaged or cut off
 */
export class TarParser {
  readonly #sink: TarSink;
  #state: State = "header";
  #position = 0;
  /** A block that a chunk's end cut in two. */
  readonly #block = new Uint8Array(blockSize);
  #blockFilled = 0;
  /** Bytes of the state at hand that are still to come. */
  #left = 0;
  #padding = 0;

  #extension: Extension = "x";
  #extensionBytes = noBytes;
  #extensionFilled = 0;
  #globals: PaxRecords = [];
  #locals: PaxRecords = [];
  #longName: Uint8Array | undefined;
  #longLink: Uint8Array | undefined;

  #draft: Draft | undefined;
  #spans: Span[] = [];
  #spanLines: SpanLines | undefined;
  #span = 0;
  #spanDone = 0;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.#position;
  }

  /** Takes the next bytes. They are not kept after the call. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const before = at;
      at = this.#step(chunk, at);
      this.#position += at - before;
    }
  }

  /** Says that no more bytes come. */
  end(): void {
    const behind = (this.#state === "header" && this.#blockFilled === 0) || this.#state === "padding";
    const between = behind && !this.#hasExtensions();
    if (between || this.#state === "ended" || (this.#state === "secondZeroBlock" && this.#blockFilled === 0)) return;
    throw damaged(this.#position, "it is cut off here");
  }

  #hasExtensions(): boolean {
    return this.#locals.length > 0 || this.#longName !== undefined || this.#longLink !== undefined;
  }

  /** Takes some of the chunk from `at` on, and gives where it stopped. */
  #step(chunk: Uint8Array, at: number): number {
    switch (this.#state) {
      case "header":
      case "secondZeroBlock":
      case "gnuSparseBlock":
      case "paxSparseBlock":
        return this.#stepBlock(chunk, at);
      case "extension": {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#extensionBytes.set(chunk.subarray(at, at + taken), this.#extensionFilled);
        this.#extensionFilled += taken;
        this.#left -= taken;
        if (this.#left === 0) {
          this.#takeExtension();
          this.#enterPadding();
        }
        return at + taken;
      }
      case "data":
        return this.#stepData(chunk, at);
      case "skippedData": {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        if (this.#left === 0) this.#finishEntry();
        return at + taken;
      }
      case "padding": {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        if (this.#left === 0) this.#state = "header";
        return at + taken;
      }
      case "ended":
        return chunk.length;
    }
  }

  #stepBlock(chunk: Uint8Array, at: number): number {
    if (this.#blockFilled === 0 && chunk.length - at >= blockSize) {
      this.#takeBlock({ bytes: chunk, at, position: this.#position });
      return at + blockSize;
    }
    const taken = Math.min(blockSize - this.#blockFilled, chunk.length - at);
    this.#block.set(chunk.subarray(at, at + taken), this.#blockFilled);
    this.#blockFilled += taken;
    if (this.#blockFilled === blockSize) {
      this.#blockFilled = 0;
      this.#takeBlock({ bytes: this.#block, at: 0, position: this.#position + taken - blockSize });
    }
    return at + taken;
  }

  #stepData(chunk: Uint8Array, at: number): number {
    const span = this.#spans[this.#span];
    if (span === undefined) throw damaged(this.#position, "its sparse map is empty");
    const taken = Math.min(span.length - this.#spanDone, chunk.length - at);
    this.#sink.data(chunk.subarray(at, at + taken), span.offset + this.#spanDone);
    this.#spanDone += taken;
    if (this.#spanDone === span.length) this.#nextSpan();
    return at + taken;
  }

  #nextSpan(): void {
    this.#spanDone = 0;
    do this.#span++;
    while (this.#spans[this.#span]?.length === 0);
    if (this.#span >= this.#spans.length) this.#finishEntry();
  }

  #takeBlock(block: HeaderBlock): void {
    switch (this.#state) {
      case "secondZeroBlock":
        if (!isZero(block)) throw damaged(block.position, "one block of zeros stands alone");
        this.#state = "ended";
        return;
      case "gnuSparseBlock":
        if (!readGnuExtensionSpans(block, this.#spans)) this.#beginEntry();
        return;
      case "paxSparseBlock": {
        const lines = this.#spanLines;
        if (lines?.push(block) !== true) {
          const draft = this.#draft;
          if (lines !== undefined && draft !== undefined && lines.consumed >= draft.stored) {
            throw damaged(block.position, "its sparse map doesn't end");
          }
          return;
        }
        this.#spans = lines.spans;
        if (this.#draft !== undefined) this.#draft.stored -= lines.consumed;
        this.#beginEntry();
        return;
      }
      default:
        this.#takeHeader(block);
    }
  }

  #takeHeader(block: HeaderBlock): void {
    // Nearly every header begins with a name: one look tells that it isn't the end.
    if (block.bytes[block.at] === 0 && isZero(block)) {
      if (this.#hasExtensions()) throw damaged(block.position, "an extended header stands before no entry");
      this.#state = "secondZeroBlock";
      return;
    }
    verifyChecksum(block);
    const flag = String.fromCharCode(block.bytes[block.at + 156] ?? 0);
    if (flag === "x" || flag === "g" || flag === "L" || flag === "K") this.#beginExtension(block, flag);
    else if (flag === "X")
      this.#beginExtension(block, "x"); // Solaris: an early form of "x"
    else this.#readEntry(block, flag);
  }

  #beginExtension(block: HeaderBlock, flag: Extension): void {
    const size = readNumber(block, "size");
    if (size < 0 || size > maximumExtension) {
      throw damaged(block.position, `an extended header of ${size} bytes is too long (most: ${maximumExtension})`);
    }
    this.#extension = flag;
    this.#extensionBytes = new Uint8Array(size);
    this.#extensionFilled = 0;
    this.#left = size;
    this.#padding = paddingOf(size);
    this.#state = "extension";
    if (size === 0) {
      this.#takeExtension();
      this.#enterPadding();
    }
  }

  #takeExtension(): void {
    const bytes = this.#extensionBytes;
    this.#extensionBytes = noBytes;
    switch (this.#extension) {
      case "L":
        this.#longName = upToNul(bytes);
        return;
      case "K":
        this.#longLink = upToNul(bytes);
        return;
      case "g": {
        const records = parsePax(bytes, this.#position);
        const keys = new Set(records.map(([key]) => key));
        this.#globals = [...this.#globals.filter(([key]) => !keys.has(key)), ...records];
        return;
      }
      case "x":
        this.#locals.push(...parsePax(bytes, this.#position));
        return;
    }
  }

  #enterPadding(): void {
    this.#left = this.#padding;
    this.#state = this.#left === 0 ? "header" : "padding";
  }

  #readEntry(block: HeaderBlock, flag: string): void {
    const draft = draftOf(block, flag);
    if (this.#longName !== undefined) draft.name = this.#longName;
    if (this.#longLink !== undefined) draft.linkName = this.#longLink;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#spans = [];
    this.#spanLines = undefined;
    const sparse = new SparseRecords(block.position);
    if (this.#globals.length > 0) applyRecords(draft, sparse, this.#globals);
    if (this.#locals.length > 0) {
      applyRecords(draft, sparse, this.#locals);
      this.#locals = [];
    }
    // The old v7 format marks a directory by its name alone.
    if (draft.type === "file" && flag !== "S" && draft.name.at(-1) === 0x2f) draft.type = "directory";
    if (draft.name.length === 0) throw damaged(block.position, "it has no name");
    if (draft.name.includes(0) || draft.linkName.includes(0))
      throw damaged(block.position, "its name has a NUL inside");
    if (draft.stored < 0) throw damaged(block.position, "its size is negative");
    // Links, directories and devices have no bytes, whatever their header says.
    if (draft.type !== "file" && draft.type !== "other") draft.stored = 0;
    draft.size = draft.type === "file" ? draft.stored : 0;
    this.#draft = draft;
    this.#padding = paddingOf(draft.stored);
    if (flag === "S") {
      draft.sparse = true;
      draft.size = readNumber(block, "gnuRealSize");
      if (readGnuHeaderSpans(block, this.#spans)) this.#state = "gnuSparseBlock";
      else this.#beginEntry();
    } else if (sparse.kind !== undefined && draft.type === "file") {
      draft.sparse = true;
      draft.size = sparse.size(draft.size);
      if (sparse.kind === "lines") {
        this.#spanLines = new SpanLines(block.position);
        this.#state = "paxSparseBlock";
        if (draft.stored < blockSize) throw damaged(block.position, "it has no room for its sparse map");
      } else {
        this.#spans = parseSpanList(sparse.list, block.position);
        this.#beginEntry();
      }
    } else {
      this.#spans.push({ offset: 0, length: draft.stored });
      this.#beginEntry();
    }
  }

  #beginEntry(): void {
    const draft = this.#draft;
    if (draft === undefined) throw damaged(this.#position, "an entry is missing");
    const { stored, ...entry } = draft;
    if (draft.sparse) checkSpans(this.#spans, draft.size, stored, draft.position);
    this.#sink.entry(entry);
    if (stored === 0) {
      this.#finishEntry();
    } else if (draft.type === "other") {
      this.#left = stored;
      this.#state = "skippedData";
    } else {
      this.#state = "data";
      this.#span = -1;
      this.#nextSpan();
    }
  }

  #finishEntry(): void {
    this.#draft = undefined;
    this.#sink.finish();
    this.#enterPadding();
  }
}

function paddingOf(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize;
}

function upToNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end === -1 ? bytes : bytes.subarray(0, end);
}
