/**
 * A log file that keeps its size: when a chunk would make it larger than it may be, it becomes `<name>.1`, what was that `<name>.2`, and so on;
 * the oldest goes. Nobody copies or truncates: a reader who has a file open reads it to its end and finds the next by name.
 */

import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { invalidArgument } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";

/** How a log file is kept small. */
export interface Rotation {
  /** The most bytes of one file. A chunk that is larger by itself is still written whole. */
  readonly maxSize: number;
  /** The most files, with the one that is written to. */
  readonly maxFiles: number;
}

/** How many files are kept if only a size is given. */
const defaultFiles = 5;

const units: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/**
 * Reads `max-size` (bytes, or with k, m, g behind it) and `max-file` of a log URI's query. Other keys mean nothing here, as to containerd.
 *
 * @param name the URI, for the message
 * @returns undefined without `max-size`: the file grows
 * @throws InvalidArgument
 */
export function parseRotation(query: URLSearchParams, name: string): Rotation | undefined {
  const size = query.get("max-size");
  const files = query.get("max-file");
  if (size === null && files === null) return undefined;
  const [, digits, unit] = /^(\d+)([kmg]?)b?$/i.exec(size ?? "") ?? [];
  const maxSize = Number(digits) * (units[unit?.toLowerCase() ?? ""] ?? 1);
  if (!(Number.isSafeInteger(maxSize) && maxSize > 0)) {
    throw invalidArgument(`log "${name}": max-size takes a number of bytes, as 500k, 10m or 1g, not "${size ?? ""}"`);
  }
  if (files !== null && !/^[1-9]\d{0,3}$/.test(files)) {
    throw invalidArgument(`log "${name}": max-file takes a number from 1 to 9999, not "${files}"`);
  }
  return { maxSize, maxFiles: files === null ? defaultFiles : Number(files) };
}

/** One file, and those that it was before. */
export class LogFile {
  readonly #path: string;
  readonly #rotation: Rotation | undefined;
  #fd: number;
  #size: number;

  /** Opens the file, to be appended to; it and its directories are made. @throws the system's error */
  constructor(path: string, rotation?: Rotation) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    this.#path = path;
    this.#rotation = rotation;
    this.#fd = openSync(path, "a", 0o644);
    this.#size = fstatSync(this.#fd).size;
  }

  /** Appends a chunk. @throws the system's error (ENOSPC) */
  write(chunk: Uint8Array): void {
    if (this.#rotation !== undefined && this.#size > 0 && this.#size + chunk.length > this.#rotation.maxSize) {
      this.#rotate(this.#rotation);
    }
    for (let rest = chunk; rest.length > 0; ) rest = rest.subarray(writeSync(this.#fd, rest));
    this.#size += chunk.length;
  }

  #rotate({ maxFiles }: Rotation): void {
    rmSync(this.#older(maxFiles - 1), { force: true });
    for (let age = maxFiles - 2; age >= 0; age--) renameIfThere(this.#older(age), this.#older(age + 1));
    // Whoever may not read the old one may not read the new one.
    const { mode } = fstatSync(this.#fd);
    closeSync(this.#fd);
    this.#fd = openSync(this.#path, "a", mode & 0o777);
    this.#size = 0;
  }

  #older(age: number): string {
    return age === 0 ? this.#path : `${this.#path}.${age}`;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
