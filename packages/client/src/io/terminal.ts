import { rawMode, terminalSize } from "@hull/sys/terminal";

/** A terminal's size in characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Signals that end this program; they must not leave a terminal raw. */
const ending: readonly NodeJS.Signals[] = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"];
const numbers: Readonly<Partial<Record<NodeJS.Signals, number>>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 };

/**
 * This program's own terminal, passing every key through until the end of the scope, which restores it; so does any end of the program
 * but SIGKILL. @throws SysError ENOTTY
 */
export function enterRawMode(fd: number): Disposable {
  const mode = rawMode(fd);
  const restore = (): void => mode[Symbol.dispose]();
  const end = (signal: NodeJS.Signals): void => {
    restore();
    process.exit(128 + (numbers[signal] ?? 0));
  };
  process.on("exit", restore);
  for (const signal of ending) process.on(signal, end);
  return {
    [Symbol.dispose]() {
      process.off("exit", restore);
      for (const signal of ending) process.off(signal, end);
      restore();
    },
  };
}

/** Calls `onSize` with the terminal's size now and whenever it changes, one call after the other, until the end of the scope. */
export function watchSize(fd: number, onSize: (size: Size) => Promise<void>): Disposable {
  let last: Promise<void> = Promise.resolve();
  const changed = (): void => {
    const { columns, rows } = terminalSize(fd);
    // A window without a size is one that nobody sees.
    if (columns === 0 || rows === 0) return;
    last = last.then(() => onSize({ columns, rows })).catch(() => {});
  };
  process.on("SIGWINCH", changed);
  changed();
  return {
    [Symbol.dispose]() {
      process.off("SIGWINCH", changed);
    },
  };
}
