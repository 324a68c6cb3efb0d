/**
 * What the unpacker is told and what it tells.
 *
 * In: options on its command line, the layer as standard input. Out: lines of JSON on standard output, `Progress` now and then,
 * one `Outcome` last. It exits with 0 when it could say how it went, also when that was badly.
 */

import { parseArgs } from "node:util";
import { invalidArgument } from "@hull/errors";
import { type Outcome, outcomeOf } from "../outcome.ts";

/** What to unpack onto. */
export interface UnpackRequest {
  /** Directory that becomes the unpacker's root. */
  readonly target: string;
  /** Deletions are done ("plain"), or kept as overlayfs does, for itself or for mounts with "userxattr". */
  readonly whiteouts: "plain" | "overlay" | "overlay-user";
  /** Directories of the layers below, topmost first, where the target doesn't hold them. */
  readonly lower: readonly string[];
  /** Sync the file system at the end. */
  readonly sync: boolean;
}

/** Bytes of the layer that were read so far. */
export interface Progress {
  readonly read: number;
}

/** The request as a command line. */
export function toArguments({ target, whiteouts, lower, sync }: UnpackRequest): string[] {
  return [
    "--target",
    target,
    "--whiteouts",
    whiteouts,
    ...lower.flatMap((directory) => ["--lower", directory]),
    ...(sync ? ["--sync"] : []),
  ];
}

const kinds = ["plain", "overlay", "overlay-user"] as const;

/** The request from a command line. @throws invalidArgument */
export function fromArguments(args: readonly string[]): UnpackRequest {
  const values = parseOptions(args);
  const whiteouts = kinds.find((kind) => kind === values.whiteouts);
  if (values.target === undefined) throw invalidArgument("the unpacker needs a directory: give --target");
  if (whiteouts === undefined)
    throw invalidArgument(`--whiteouts "${values.whiteouts}" is none of ${kinds.join(", ")}`);
  return { target: values.target, whiteouts, lower: values.lower, sync: values.sync };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        target: { type: "string" },
        whiteouts: { type: "string", default: "plain" },
        lower: { type: "string", multiple: true, default: [] },
        sync: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw invalidArgument(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** One line from the unpacker. @throws SyntaxError if it isn't JSON */
export function parseLine(line: string): Progress | Outcome | undefined {
  const value: unknown = JSON.parse(line);
  if (typeof value !== "object" || value === null) return undefined;
  if ("read" in value && typeof value.read === "number") return { read: value.read };
  return outcomeOf(value);
}
