/** The signal that asks a container to stop, as the CRI has it (an enum) and as images and records do (`SIGRTMIN+1`). */

import { Signal } from "@hull/api/gen/cri/v1/cri";
import { invalidArgument } from "@hull/errors";

const names = new Map<number, string>(
  Object.entries(Signal).map(([name, number]) => [
    number,
    name
      .replace(/^SIGNAL_/, "")
      .replace("PLUS", "+")
      .replace("MINUS", "-"),
  ]),
);
const numbers = new Map([...names].map(([number, name]) => [name, number as Signal]));

/** Its name; empty for the runtime's default. @throws InvalidArgument for a number that the CRI doesn't know */
export function stopSignalName(signal: Signal): string {
  if (signal === Signal.SIGNAL_RUNTIME_DEFAULT) return "";
  const name = names.get(signal);
  if (name === undefined) throw invalidArgument(`unknown CRI stop signal ${signal}: invalid argument`);
  return name;
}

/** The CRI's number for a name; the runtime's default for one that the CRI doesn't know, such as a number. */
export const stopSignalOf = (name: string): Signal => numbers.get(name) ?? Signal.SIGNAL_RUNTIME_DEFAULT;
