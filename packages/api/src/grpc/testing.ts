import { maximumMessage, messagePrefix } from "./message.ts";

/** A message with its prefix, as it stands in a body. */
export function encodeMessageFrame(message: Uint8Array, limit = maximumMessage): Uint8Array {
  return Buffer.concat([messagePrefix(message.length, limit), message]);
}
