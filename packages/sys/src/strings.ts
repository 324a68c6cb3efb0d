/** Text as C wants it. */

import { invalidArgument } from "@hull/errors";

/**
 * A path as the kernel takes it: text, or raw bytes for names that are not UTF-8 (archives have them). Without NUL.
 */
export type Path = string | Uint8Array;

const encoder = new TextEncoder();

/**
 * The bytes of `text` in UTF-8 with a NUL behind.
 *
 * @throws invalidArgument if there is a NUL inside, which would silently cut the text short.
 */
export function cString(text: Path): Uint8Array {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  if (bytes.includes(0)) throw invalidArgument(`"${display(text)}" contains a NUL byte`);
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}

/** A path for a message. */
export function display(path: Path): string {
  return typeof path === "string" ? path : new TextDecoder().decode(path);
}
