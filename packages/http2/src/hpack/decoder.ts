import type { FieldList } from "../fields.ts";
import { decodeHuffman } from "./huffman.ts";
import { BlockReader, compressionError } from "./integer.ts";
import { staticFields } from "./static-table.ts";

/** A field that the dynamic table holds. */
interface Entry {
  readonly name: string;
  readonly value: string;
  /** False if a header may not look like this; checked when it comes, not each time that it is named. */
  readonly valid: boolean;
}

/** What each entry counts beside its name and value, in bytes (RFC 7541, section 4.1). */
export const entryOverhead = 32;

/** The table's size unless somebody says otherwise, in bytes (RFC 9113, section 6.5.2). */
export const defaultTableSize = 4096;

/** A block, decoded. */
export interface DecodedBlock {
  readonly fields: FieldList;
  /** False if a name or a value has characters that it may not have (RFC 9113, section 8.2.1). */
  readonly valid: boolean;
  /** True if the fields are more than was allowed; then `fields` has only those that fit. */
  readonly tooLarge: boolean;
}

/** Decodes the header blocks of one direction of a connection, in their order (RFC 7541). */
export class HeaderDecoder {
  readonly #largestList: number;
  readonly #largestTable: number;
  /** The dynamic table, its newest entry last. */
  readonly #entries: Entry[] = [];
  #tableSize = 0;
  #tableLimit: number;
  #scratch = new Uint8Array(256);

  /**
   * @param largestList bytes that the fields of a block may have, counted as in RFC 9113, section 6.5.2
   * @param largestTable bytes, as the settings that we sent say
   */
  constructor(largestList: number, largestTable = defaultTableSize) {
    this.#largestList = largestList;
    this.#largestTable = largestTable;
    this.#tableLimit = largestTable;
  }

  /** Bytes that the dynamic table holds. */
  get tableSize(): number {
    return this.#tableSize;
  }

  /** Decodes a whole block. @throws ConnectionError for one that is none: nothing that follows could be decoded */
  decode(bytes: Uint8Array, from = 0, to = bytes.length): DecodedBlock {
    const reader = new BlockReader(bytes, from, to);
    const fields: string[] = [];
    let size = 0;
    let valid = true;
    while (reader.at < to) {
      const first = reader.byte();
      let entry: Entry;
      if (first >= 0x80) {
        entry = this.#entry(reader.integer(first, 7));
      } else if (first >= 0x40) {
        entry = this.#literal(reader, reader.integer(first, 6));
        this.#insert(entry);
      } else if (first >= 0x20) {
        if (fields.length > 0 || size > 0) throw compressionError("a table's size changes amid a header block");
        this.#resize(reader.integer(first, 5));
        continue;
      } else {
        // Not to be indexed, or never: the same to who only reads.
        entry = this.#literal(reader, reader.integer(first, 4));
      }
      size += sizeOf(entry);
      if (!entry.valid) valid = false;
      if (size <= this.#largestList) fields.push(entry.name, entry.value);
    }
    return { fields, valid, tooLarge: size > this.#largestList };
  }

  #entry(index: number): Entry {
    const entry = index <= staticEntries.length ? staticEntries[index - 1] : this.#dynamic(index);
    if (entry === undefined) throw compressionError(`a header block names the entry ${index}, which is not there`);
    return entry;
  }

  #dynamic(index: number): Entry | undefined {
    return this.#entries[this.#entries.length - (index - staticEntries.length)];
  }

  #literal(reader: BlockReader, nameIndex: number): Entry {
    if (nameIndex !== 0) {
      const { name, valid } = this.#entry(nameIndex);
      const value = this.#string(reader);
      return { name, value, valid: valid && isValue(value) };
    }
    const name = this.#string(reader);
    const value = this.#string(reader);
    return { name, value, valid: isName(name) && isValue(value) };
  }

  #string(reader: BlockReader): string {
    const first = reader.byte();
    const length = reader.integer(first, 7);
    const from = reader.at;
    const to = from + length;
    if (to > reader.end) throw compressionError("a header block ends amid a string");
    reader.at = to;
    if (first < 0x80) return latin1(reader.bytes, from, to);
    const room = Math.ceil((length * 8) / 5);
    if (this.#scratch.length < room) this.#scratch = new Uint8Array(room);
    const decoded = decodeHuffman(reader.bytes, from, to, this.#scratch);
    return latin1(this.#scratch, 0, decoded);
  }

  #insert(entry: Entry): void {
    this.#entries.push(entry);
    this.#tableSize += sizeOf(entry);
    this.#evict();
  }

  #resize(limit: number): void {
    if (limit > this.#largestTable) throw compressionError(`a table of ${limit} bytes was not allowed`);
    this.#tableLimit = limit;
    this.#evict();
  }

  #evict(): void {
    while (this.#tableSize > this.#tableLimit) {
      const oldest = this.#entries.shift();
      if (oldest === undefined) return;
      this.#tableSize -= sizeOf(oldest);
    }
  }
}

const staticEntries: readonly Entry[] = staticFields.map(([name, value]) => ({ name, value, valid: true }));

const sizeOf = ({ name, value }: Entry): number => name.length + value.length + entryOverhead;

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}

// Upper case is what a name may not have on top of HTTP's own rules; a colon stands only before a pseudo-header field's.
const isName = (name: string): boolean => /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name);

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
const isValue = (value: string): boolean => !/[\x00\r\n]|^[ \t]|[ \t]$/.test(value);
