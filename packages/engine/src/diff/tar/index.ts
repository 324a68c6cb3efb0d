/**
 * Reading and writing tar archives, without any file system: bytes in, entries out, and back.
 *
 *   TarParser(sink) ──push(chunk)…──► sink.entry, sink.data…, sink.finish ──end()
 *   readTar(chunks) ──► members, each with its own stream of bytes
 *   encodeHeader(entry) + bytes + paddingAfter(size) … endOfArchive
 *
 * It reads the old (v7), ustar, star, GNU and PAX forms, among them long names and sparse files of both kinds. Names are
 * bytes from end to end: an archive may hold names that are no UTF-8.
 *
 * Formats: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; the GNU tar manual, chapters "Basic Tar
 * Format", "GNU Extensions to the Archive Format" and "Storing Sparse Files".
 */

export type { EntryType, TarEntry, TarSink, TarTime } from "./entry.ts";
export { text } from "./entry.ts";
export { TarParser } from "./parser.ts";
export { readTar, type TarMember } from "./read.ts";
export { encodeHeader, endOfArchive, paddingAfter, type WritableEntry } from "./writer.ts";
