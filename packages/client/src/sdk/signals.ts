import { invalidArgument } from "@hull/errors";
import { signalOf } from "@hull/sys/signals";

/** Signals by name; others go by number. */
export type SignalName =
  | "SIGHUP"
  | "SIGINT"
  | "SIGQUIT"
  | "SIGABRT"
  | "SIGKILL"
  | "SIGUSR1"
  | "SIGUSR2"
  | "SIGPIPE"
  | "SIGALRM"
  | "SIGTERM"
  | "SIGCONT"
  | "SIGSTOP"
  | "SIGTSTP"
  | "SIGWINCH";

/** @throws InvalidArgument */
export function signalNumber(signal: SignalName | number): number {
  const number = signalOf(String(signal));
  if (number === undefined) throw invalidArgument(`"${signal}" is no signal`);
  return number;
}
