/** What an entry becomes of its header and of the extended headers before it: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block". */

import type { EntryType, TarEntry, TarTime } from "./entry.ts";
import { damaged, dialectOf, type HeaderBlock, readNumber, readText } from "./header.ts";
import { type PaxRecords, paxNumber, paxTime, xattrOf } from "./pax.ts";

const noBytes = new Uint8Array(0);

/** An entry while it is being put together. */
export type Draft = { -readonly [Key in keyof TarEntry]: TarEntry[Key] } & { stored: number };

const types: Readonly<Record<string, EntryType>> = {
  "\0": "file",
  "0": "file",
  "7": "file",
  S: "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/** What the header alone says. */
export function draftOf(block: HeaderBlock, flag: string): Draft {
  const dialect = dialectOf(block);
  const type = types[flag] ?? "other";
  const isDevice = type === "character" || type === "block";
  let name = readText(block, "name");
  if (dialect === "ustar" || dialect === "star") {
    const prefix = readText(block, dialect === "star" ? "starPrefix" : "prefix");
    if (prefix.length > 0) name = Buffer.concat([prefix, Buffer.from("/"), name]);
  }
  return {
    position: block.position,
    name,
    linkName: type === "hardlink" || type === "symlink" ? readText(block, "linkName") : noBytes,
    type,
    flag,
    mode: readNumber(block, "mode") & 0o7777,
    uid: readId(block, "uid"),
    gid: readId(block, "gid"),
    size: 0,
    stored: readNumber(block, "size"),
    sparse: false,
    mtime: { seconds: readNumber(block, "mtime"), nanoseconds: 0 },
    deviceMajor: isDevice && dialect !== "v7" ? readNumber(block, "deviceMajor") : 0,
    deviceMinor: isDevice && dialect !== "v7" ? readNumber(block, "deviceMinor") : 0,
  };
}

/** The kernel keeps ids in 32 bits, and the highest one means "none". */
function readId(block: HeaderBlock, field: "uid" | "gid"): number {
  return checkId(readNumber(block, field), field, block.position);
}

function checkId(id: number, field: string, position: number): number {
  if (id < 0 || id >= 0xffffffff) throw damaged(position, `its ${field} ${id} is out of range`);
  return id;
}

/** What extended headers say about a sparse file. */
export class SparseRecords {
  /** Where the map is: in the records, or as lines in front of the data. */
  kind: "list" | "lines" | undefined;
  list = "";
  #size: number | undefined;
  #major = "";
  #minor = "";
  readonly #position: number;

  constructor(position: number) {
    this.#position = position;
  }

  size(otherwise: number): number {
    return this.#size ?? otherwise;
  }

  /** @param key without its `GNU.sparse.` */
  add(key: string, value: Uint8Array): void {
    const asText = Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1");
    switch (key) {
      case "major":
        this.#major = asText;
        break;
      case "minor":
        this.#minor = asText;
        break;
      case "size":
      case "realsize":
        this.#size = paxNumber(`GNU.sparse.${key}`, value, this.#position);
        break;
      case "offset":
      case "numbytes":
        if (asText.includes(",")) throw damaged(this.#position, "its sparse map is no number");
        this.list += this.list === "" ? asText : `,${asText}`;
        break;
      case "map":
        this.list = asText;
        break;
    }
    if (this.#major === "1" && this.#minor === "0") this.kind = "lines";
    else if (key === "map" || key === "offset" || key === "numblocks") this.kind = "list";
  }
}

/** What extended headers say takes the place of what the header says. @throws invalidArgument, with the position, for what is impossible */
export function applyRecords(draft: Draft, sparse: SparseRecords, records: PaxRecords): void {
  const { position } = draft;
  let sparseName: Uint8Array | undefined;
  for (const [key, value] of records) {
    if (key.startsWith("GNU.sparse.")) {
      if (key === "GNU.sparse.name") sparseName = value;
      else sparse.add(key.slice("GNU.sparse.".length), value);
      continue;
    }
    const xattr = xattrOf(key, value);
    if (xattr !== undefined) {
      const [name, content] = xattr;
      if (name === "" || name.includes("\0")) throw damaged(position, "an extended attribute's name is impossible");
      draft.xattrs = new Map([...(draft.xattrs ?? []), [name, content]]);
      continue;
    }
    // An empty value takes an earlier one back: the header's own field counts.
    if (value.length === 0) continue;
    applyRecord(draft, key, value);
  }
  if (sparseName !== undefined) draft.name = sparseName;
}

function applyRecord(draft: Draft, key: string, value: Uint8Array): void {
  const { position } = draft;
  switch (key) {
    case "path":
      draft.name = value;
      break;
    case "linkpath":
      if (draft.type === "hardlink" || draft.type === "symlink") draft.linkName = value;
      break;
    case "size":
      draft.stored = paxNumber(key, value, position);
      break;
    case "uid":
    case "gid":
      draft[key] = checkId(paxNumber(key, value, position), key, position);
      break;
    case "mtime":
    case "atime":
      draft[key] = paxTime(key, value, position) satisfies TarTime;
      break;
  }
}
