/** What a tar archive holds, whichever of the formats it is written in. */

/** What an entry makes. `other` is a type flag that has no meaning here; its bytes are skipped. */
export type EntryType = "file" | "hardlink" | "symlink" | "character" | "block" | "directory" | "fifo" | "other";

/** A point in time since 1970 UTC. `nanoseconds` is 0 … 999,999,999 and counts forwards, also before 1970. */
export interface TarTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** One entry. */
export interface TarEntry {
  /** Offset of the entry's header in the archive, in bytes. */
  readonly position: number;
  /** As written, in bytes: may be absolute, may contain `..`, may end with `/`. */
  readonly name: Uint8Array;
  /** Target of a hard or symbolic link, else empty. */
  readonly linkName: Uint8Array;
  readonly type: EntryType;
  /** The type flag as it stands in the header: one character. */
  readonly flag: string;
  /** Permission bits with set-user-id, set-group-id and sticky: 0 … 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of the file when it is unpacked, with the holes of a sparse one. 0 for all but files. */
  readonly size: number;
  readonly sparse: boolean;
  readonly mtime: TarTime;
  readonly atime?: TarTime;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Extended attributes by name (as Latin-1: one character a byte). */
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

/** Takes what a parser finds. The calls come in this order for each entry: `entry`, any number of `data`, `finish`. */
export interface TarSink {
  entry(entry: TarEntry): void;
  /** Bytes of the file that belong at `offset`. Valid during the call alone. Between the spans of a sparse file are holes. */
  data(bytes: Uint8Array, offset: number): void;
  finish(): void;
}

const decoder = new TextDecoder();

/** A name for people: what isn't UTF-8 becomes U+FFFD. */
export function text(name: Uint8Array): string {
  return decoder.decode(name);
}
