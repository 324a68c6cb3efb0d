/**
 * The signals of Linux by name, as x86-64 and arm64 number them: signal(7). Node's table of them would cost a shim, of which there is one for
 * each container, a tenth of a megabyte.
 */
export const signals: ReadonlyMap<string, number> = new Map([
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
  ["SIGILL", 4],
  ["SIGTRAP", 5],
  ["SIGABRT", 6],
  ["SIGBUS", 7],
  ["SIGFPE", 8],
  ["SIGKILL", 9],
  ["SIGUSR1", 10],
  ["SIGSEGV", 11],
  ["SIGUSR2", 12],
  ["SIGPIPE", 13],
  ["SIGALRM", 14],
  ["SIGTERM", 15],
  ["SIGSTKFLT", 16],
  ["SIGCHLD", 17],
  ["SIGCONT", 18],
  ["SIGSTOP", 19],
  ["SIGTSTP", 20],
  ["SIGTTIN", 21],
  ["SIGTTOU", 22],
  ["SIGURG", 23],
  ["SIGXCPU", 24],
  ["SIGXFSZ", 25],
  ["SIGVTALRM", 26],
  ["SIGPROF", 27],
  ["SIGWINCH", 28],
  ["SIGIO", 29],
  ["SIGPWR", 30],
  ["SIGSYS", 31],
  ["SIGIOT", 6],
  ["SIGPOLL", 29],
]);

/** Signals that have no name of their own, as glibc counts them. */
const realtime = { MIN: 34, MAX: 64 } as const;

/** The number of a signal by name, with or without SIG, as `RTMIN+3`, or by number from 1 to 64; undefined if it is none. */
export function signalOf(text: string): number | undefined {
  if (/^\d{1,2}$/.test(text)) return Number(text) >= 1 && Number(text) <= 64 ? Number(text) : undefined;
  const [, end, sign, offset = "0"] = /^(?:SIG)?RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/i.exec(text) ?? [];
  if (end === undefined) return signals.get(text.toUpperCase().replace(/^(SIG)?/, "SIG"));
  const number = realtime[end.toUpperCase() as keyof typeof realtime] + (sign === "-" ? -1 : 1) * Number(offset);
  return number < realtime.MIN || number > realtime.MAX ? undefined : number;
}
