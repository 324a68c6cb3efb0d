import type { FieldList } from "../fields.ts";
import { defaultTableSize, entryOverhead } from "./decoder.ts";
import { writeInteger } from "./integer.ts";
import { staticFields } from "./static-table.ts";

/** Fields whose values seldom come again: an entry of the table would push out one that does. */
const changing: ReadonlySet<string> = new Set([
  "content-length",
  "date",
  "grpc-message",
  "grpc-status-details-bin",
  "grpc-timeout",
  "traceparent",
  "tracestate",
]);

/** Fields that no proxy may put into a table, where their values could be guessed (RFC 7541, section 7.1.3). */
const secret: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization", "set-cookie"]);

/** Where one name is found. */
interface Known {
  /** Index in the static table, of any value; 0 if it isn't there. */
  readonly name: number;
  /** Index in the static table by value. */
  readonly values: ReadonlyMap<string, number>;
}

/** What the dynamic table has of one name: by value, the how manieth of all insertions it was. */
type Inserted = Map<string, number>;

/**
 * Encodes header blocks for one direction of a connection (RFC 7541): fields that come again by their index, what changes from call to
 * call as it is. Strings are not packed by Huffman's code; see `huffman.ts`.
 */
export class HeaderEncoder {
  readonly #dynamic = new Map<string, Inserted>();
  /** The dynamic table, its newest entry last. */
  readonly #entries: (readonly [name: string, value: string])[] = [];
  #insertions = 0;
  #size = 0;
  #limit = defaultTableSize;
  /** Limits that the peer has to be told of: the smallest since the last block, if it is below the present one, and that. */
  #announce: { smallest: number } | undefined;

  /** Takes the table's size from the peer's settings, bytes; ours doesn't grow beyond the default. */
  limitTable(bytes: number): void {
    const limit = Math.min(bytes, defaultTableSize);
    if (limit === this.#limit) return;
    this.#announce = { smallest: Math.min(limit, this.#announce?.smallest ?? limit) };
    this.#limit = limit;
    this.#evict(limit);
  }

  /** Bytes that the block of these fields has at most. */
  static room(fields: FieldList): number {
    let room = 2 * 6;
    for (const text of fields) room += text.length + 6;
    return room;
  }

  /** Encodes a block at `at`; returns where it ends. `out` has `room` for it. */
  encode(fields: FieldList, out: Uint8Array, at: number): number {
    let end = this.#announce === undefined ? at : this.#writeAnnouncement(out, at, this.#announce.smallest);
    for (let field = 0; field < fields.length; field += 2) {
      end = this.#field(fields[field] ?? "", fields[field + 1] ?? "", out, end);
    }
    return end;
  }

  #writeAnnouncement(out: Uint8Array, at: number, smallest: number): number {
    this.#announce = undefined;
    const end = smallest < this.#limit ? writeInteger(out, at, 0x20, 5, smallest) : at;
    return writeInteger(out, end, 0x20, 5, this.#limit);
  }

  #field(name: string, value: string, out: Uint8Array, at: number): number {
    const known = staticIndex.get(name);
    const whole = known?.values.get(value);
    if (whole !== undefined) return writeInteger(out, at, 0x80, 7, whole);
    const inserted = this.#dynamic.get(name);
    const insertion = inserted?.get(value);
    if (insertion !== undefined) return writeInteger(out, at, 0x80, 7, this.#indexOf(insertion));
    const nameIndex = known?.name ?? this.#indexOfName(inserted);
    if (secret.has(name)) return this.#literal(0x10, 4, nameIndex, name, value, out, at);
    const size = name.length + value.length + entryOverhead;
    if (changing.has(name) || size > this.#limit / 4) return this.#literal(0, 4, nameIndex, name, value, out, at);
    const end = this.#literal(0x40, 6, nameIndex, name, value, out, at);
    this.#insert(name, value, size);
    return end;
  }

  #literal(
    flags: number,
    bits: number,
    nameIndex: number,
    name: string,
    value: string,
    out: Uint8Array,
    at: number,
  ): number {
    let end = writeInteger(out, at, flags, bits, nameIndex);
    if (nameIndex === 0) end = writeString(name, out, end);
    return writeString(value, out, end);
  }

  #indexOf(insertion: number): number {
    return staticFields.length + this.#insertions - insertion;
  }

  #indexOfName(inserted: Inserted | undefined): number {
    if (inserted === undefined) return 0;
    for (const insertion of inserted.values()) return this.#indexOf(insertion);
    return 0;
  }

  #insert(name: string, value: string, size: number): void {
    this.#evict(this.#limit - size);
    let inserted = this.#dynamic.get(name);
    if (inserted === undefined) {
      inserted = new Map();
      this.#dynamic.set(name, inserted);
    }
    inserted.set(value, this.#insertions++);
    this.#entries.push([name, value]);
    this.#size += size;
  }

  /** Drops the oldest entries until no more than `limit` bytes are there. */
  #evict(limit: number): void {
    while (this.#size > limit) {
      const oldest = this.#entries.shift();
      if (oldest === undefined) return;
      const [name, value] = oldest;
      this.#size -= name.length + value.length + entryOverhead;
      const inserted = this.#dynamic.get(name);
      inserted?.delete(value);
      if (inserted?.size === 0) this.#dynamic.delete(name);
    }
  }
}

function writeString(text: string, out: Uint8Array, at: number): number {
  let end = writeInteger(out, at, 0, 7, text.length);
  for (let index = 0; index < text.length; index++) out[end++] = text.charCodeAt(index);
  return end;
}

const staticIndex: ReadonlyMap<string, Known> = indexStatic();

function indexStatic(): Map<string, Known> {
  const index = new Map<string, { name: number; values: Map<string, number> }>();
  for (const [position, [name, value]] of staticFields.entries()) {
    let known = index.get(name);
    if (known === undefined) {
      known = { name: position + 1, values: new Map() };
      index.set(name, known);
    }
    // An empty value here stands for a name without one in common; it is found all the same.
    if (!known.values.has(value)) known.values.set(value, position + 1);
  }
  return index;
}
