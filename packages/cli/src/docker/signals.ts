import { constants } from "node:os";
import { nearest } from "@hull/engine/plugin/nearest";
import { invalidArgument } from "@hull/errors";

/** A signal by name, with or without SIG, or number. @throws InvalidArgument */
export function parseSignal(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= 64) return Number(text);
  const realtime = /^(?:SIG)?RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/i.exec(text);
  if (realtime !== null) return realtimeSignal(text, realtime);
  const name = text.toUpperCase().replace(/^(SIG)?/, "SIG");
  const number = Object.entries(constants.signals).find(([known]) => known === name)?.[1];
  if (number !== undefined) return number;
  const near = nearest(name, Object.keys(constants.signals));
  throw invalidArgument(`"${text}" is not a signal${near === undefined ? "" : `; did you mean "${near}"?`}`);
}

/** As glibc counts them: 34 to 64. */
function realtimeSignal(text: string, [, end, sign, offset = "0"]: RegExpExecArray): number {
  const number = (end?.toUpperCase() === "MIN" ? 34 : 64) + (sign === "-" ? -1 : 1) * Number(offset);
  if (number < 34 || number > 64) throw invalidArgument(`"${text}" is not a signal: there are RTMIN to RTMIN+30`);
  return number;
}
