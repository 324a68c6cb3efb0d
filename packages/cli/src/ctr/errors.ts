import { codes, HullError } from "@hull/errors";
import { explainUnreachable } from "../command/unreachable.ts";

/** What is wrong with a command line. Printed as it is. */
export class CtrError extends Error {}

/** How ctr words an error: the message and its class, as containerd's Go errors read. */
export function explain(thrown: unknown, globals: Readonly<Record<string, unknown>>): string {
  if (thrown instanceof CtrError) return thrown.message;
  const error = HullError.from(thrown);
  const text =
    explainUnreachable(error, String(globals.address)) ??
    (error.code === "unknown" && error.cause instanceof Error ? error.message : withClass(error));
  return globals.debug === true && error.stack !== undefined ? `${text}\n${error.stack}` : text;
}

/** `container "a": not found`. */
export function withClass({ code, message }: HullError): string {
  const { text } = codes[code];
  return message.endsWith(text) ? message : `${message}: ${text}`;
}
