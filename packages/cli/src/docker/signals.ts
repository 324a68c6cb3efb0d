import { nearest } from "@hull/engine/plugin/nearest";
import { invalidArgument } from "@hull/errors";
import { signalOf, signals } from "@hull/sys/signals";

/** A signal by name, with or without SIG, or number. @throws InvalidArgument */
export function parseSignal(text: string): number {
  const number = signalOf(text);
  if (number !== undefined) return number;
  if (/^(?:SIG)?RT(MIN|MAX)\b/i.test(text))
    throw invalidArgument(`"${text}" is not a signal: there are RTMIN to RTMIN+30`);
  const near = nearest(text.toUpperCase().replace(/^(SIG)?/, "SIG"), [...signals.keys()]);
  throw invalidArgument(`"${text}" is not a signal${near === undefined ? "" : `; did you mean "${near}"?`}`);
}
