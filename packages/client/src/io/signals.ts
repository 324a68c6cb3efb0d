import { constants } from "node:os";

/** Signals that a person or another program sends on purpose; the rest are this process's own affair. */
const forwarded: readonly NodeJS.Signals[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGTERM",
  "SIGCONT",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGWINCH",
];

/** Gives every signal that this program gets to `send`, by number, until the end of the scope. */
export function forwardSignals(send: (signal: number) => Promise<void>): Disposable {
  const forward = (signal: NodeJS.Signals): void => {
    // The process may have ended since; there is nobody to tell then.
    send(constants.signals[signal]).catch(() => {});
  };
  for (const signal of forwarded) process.on(signal, forward);
  return {
    [Symbol.dispose]() {
      for (const signal of forwarded) process.off(signal, forward);
    },
  };
}
