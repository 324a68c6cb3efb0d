import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { LoggedEvent } from "./index.ts";
import { decodeRecords } from "./record.ts";

export interface SegmentOptions {
  readonly directory: string;
  /** What is kept at most: events, and bytes on disk. The oldest segment goes when there is more. */
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** A file of the log, named by the number of its first event; a full one by how many it holds, too. */
interface Segment {
  readonly first: number;
  events: number;
  bytes: number;
  isFull: boolean;
}

/** Of how many segments a full log is. */
const segmentsOfALog = 8;

/** How far numbers jump after a start, so that those of events that a crash lost aren't given again. */
const jump = 1000;

const fileName = /^(\d{16})(?:-(\d{1,9}))?\.log$/;

const nameOf = ({ first, events, isFull }: Segment): string =>
  `${String(first).padStart(16, "0")}${isFull ? `-${events}` : ""}.log`;

/**
 * The files of the log: one that is appended to, and full ones before it.
 *
 *   open (a torn end is cut off) ──append──► … ──full──► the next file, and the oldest one gone ──close
 */
export class Segments implements Disposable {
  readonly #options: SegmentOptions;
  readonly #segments: Segment[];
  #descriptor: number | undefined;
  #next: number;

  constructor(options: SegmentOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    this.#segments = readdirSync(options.directory)
      .sort()
      .flatMap((name) => {
        const [, first = "", events] = fileName.exec(name) ?? [];
        if (first === "") return [];
        const { size: bytes } = statSync(join(options.directory, name));
        const isFull = events !== undefined;
        return [{ first: Number(first), events: Number(events ?? 0), bytes, isFull }];
      });
    const last = this.#segments.at(-1);
    const lastNumber = last === undefined ? 0 : this.#survey(last);
    this.#next = lastNumber === 0 ? 1 : lastNumber + jump;
  }

  /** The number of the next event. */
  get next(): number {
    return this.#next;
  }

  /** The number of the oldest event that is kept; `next` if there is none. */
  get oldest(): number {
    return this.#segments.find(({ events }) => events > 0)?.first ?? this.#next;
  }

  /** Takes the next number. */
  number(): number {
    return this.#next++;
  }

  /** Writes records, one behind the other, the first of number `first`. @throws an fs error */
  append(records: readonly Uint8Array[], first: number): void {
    const current = this.#segments.at(-1);
    if (current === undefined || this.#hasEnough(current)) this.#begin(first);
    const segment = this.#segments.at(-1);
    if (segment === undefined) return;
    this.#descriptor ??= openSync(this.#path(segment), "a", 0o600);
    const bytes = records.length === 1 && records[0] !== undefined ? records[0] : Buffer.concat(records);
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(this.#descriptor, bytes, written, bytes.length - written);
    }
    segment.events += records.length;
    segment.bytes += bytes.length;
  }

  /** The files that may hold events from `first` on, opened, so that they can be read though they are dropped meanwhile. */
  async openFrom(first: number): Promise<FileHandle[]> {
    const start = Math.max(
      0,
      this.#segments.findLastIndex((segment) => segment.first <= first),
    );
    const opened = this.#segments.slice(start).map((segment) => open(this.#path(segment)));
    const results = await Promise.allSettled(opened);
    // One that was dropped just now holds what was the oldest.
    return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #hasEnough({ events, bytes, isFull }: Segment): boolean {
    const { maxEvents, maxBytes } = this.#options;
    return isFull || bytes >= maxBytes / segmentsOfALog || events >= maxEvents / segmentsOfALog;
  }

  /** Counts what a file holds and cuts off what isn't whole. Gives the number of its last event, or the one before its first. */
  #survey(segment: Segment): number {
    const path = this.#path(segment);
    const content = readFileSync(path);
    let last = segment.first - 1;
    let events = 0;
    let whole = 0;
    for (const { event, end } of decodeRecords(content)) {
      last = event.sequence;
      events++;
      whole = end;
    }
    if (whole < content.length) truncateSync(path, whole);
    segment.bytes = whole;
    // A full one keeps the count that is in its name.
    if (!segment.isFull) segment.events = events;
    return last;
  }

  /** Begins a file, and drops what is too much. */
  #begin(first: number): void {
    this[Symbol.dispose]();
    this.#seal();
    this.#segments.push({ first, events: 0, bytes: 0, isFull: false });
    const { maxEvents, maxBytes } = this.#options;
    const sum = (of: "events" | "bytes"): number => this.#segments.reduce((total, one) => total + one[of], 0);
    // Room for the one that begins is kept free.
    const share = 1 - 1 / segmentsOfALog;
    while (this.#segments.length > 1 && (sum("events") > maxEvents * share || sum("bytes") > maxBytes * share)) {
      const dropped = this.#segments.shift();
      if (dropped !== undefined) rmSync(this.#path(dropped), { force: true });
    }
  }

  /** Names the last file as a full one, whose events need not be counted at the next start. */
  #seal(): void {
    const segment = this.#segments.at(-1);
    if (segment === undefined || segment.isFull) return;
    const path = this.#path(segment);
    segment.isFull = true;
    renameSync(path, this.#path(segment));
  }

  #path(segment: Segment): string {
    return join(this.#options.directory, nameOf(segment));
  }
}

/** The events of files in order, from number `first` up to but without `end`. Closes them. */
export async function* readEvents(
  files: readonly FileHandle[],
  first: number,
  end: number,
): AsyncGenerator<LoggedEvent> {
  await using closing = new AsyncDisposableStack();
  for (const file of files) closing.defer(() => file.close());
  for (const file of files) {
    const content = new Uint8Array(await file.readFile());
    for (const { event } of decodeRecords(content)) {
      if (event.sequence >= end) return;
      if (event.sequence >= first) yield event;
    }
  }
}
