/**
 * What the packer is told and what it tells.
 *
 * In: options on its command line. Out: the layer on standard output, and on standard error one line of JSON, `Outcome`, last.
 * It exits with 0 when it could say how it went, also when that was badly.
 */

import { parseArgs } from "node:util";
import { invalidArgument } from "@hull/errors";
import { type Outcome, outcomeOf } from "../outcome.ts";

/** How a layer is compressed, if at all. */
export const packCompressions = ["none", "gzip", "zstd"] as const;
export type PackCompression = (typeof packCompressions)[number];

/** What to pack. The directory that becomes the packer's root has `left`, how it was, and `right`, how it is, in it. */
export interface PackRequest {
  readonly root: string;
  readonly compression: PackCompression;
  /** The attribute that marks directories as covering those below them, if `right` is not all there is but an overlay's upper directory. */
  readonly opaque?: string;
  /** Files are not newer than this in the layer: seconds since 1970, and a fraction. */
  readonly latest?: { readonly seconds: number; readonly nanoseconds: number };
}

/** The request as a command line. */
export function toPackArguments({ root, compression, opaque, latest }: PackRequest): string[] {
  return [
    "--root",
    root,
    "--compression",
    compression,
    ...(opaque === undefined ? [] : ["--opaque", opaque]),
    ...(latest === undefined ? [] : ["--latest", JSON.stringify([latest.seconds, latest.nanoseconds])]),
  ];
}

/** The request from a command line. @throws invalidArgument */
export function fromPackArguments(args: readonly string[]): PackRequest {
  const { root, compression, opaque, latest } = parseOptions(args);
  const kind = packCompressions.find((one) => one === compression);
  if (root === undefined) throw invalidArgument("the packer needs a directory: give --root");
  if (kind === undefined) {
    throw invalidArgument(`--compression "${compression}" is none of ${packCompressions.join(", ")}`);
  }
  return { root, compression: kind, opaque, ...(latest === undefined ? {} : { latest: timeOf(latest) }) };
}

function timeOf(written: string): { seconds: number; nanoseconds: number } {
  const match = /^\[(-?\d{1,15}),(\d{1,9})\]$/.exec(written);
  if (match === null) throw invalidArgument(`--latest "${written}" is not [seconds,nanoseconds]`);
  return { seconds: Number(match[1]), nanoseconds: Number(match[2]) };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        root: { type: "string" },
        compression: { type: "string", default: "none" },
        opaque: { type: "string" },
        latest: { type: "string" },
      },
    }).values;
  } catch (error) {
    throw invalidArgument(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** The outcome in what the packer said, or undefined if there is none: it ended too early. */
export function parsePackOutcome(said: string): Outcome | undefined {
  const line = said.trimEnd().split("\n").at(-1) ?? "";
  try {
    return outcomeOf(JSON.parse(line));
  } catch {
    return undefined;
  }
}
