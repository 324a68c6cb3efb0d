/** Pseudo terminals: making them, their size and mode, and taking one over from an OCI runtime. */

import { rmSync } from "node:fs";
import { dataLoss } from "@hull/errors";
import { SysError } from "./errno.ts";
import { asBytes, close, Descriptor, O_CLOEXEC, open, openFlags } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { accept, listenUnix, receiveDescriptors } from "./socket.ts";
import type { WaitOptions } from "./watch.ts";
import { ready } from "./watch.ts";

/** ioctl_tty(2)'s requests: include/uapi/asm-generic/ioctls.h. */
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const TCSANOW = 0;
/** More than glibc's struct termios has, on any processor. */
const termiosSize = 128;

/** A new pseudo terminal: what a person's side holds, and what a program gets as its terminal. Both the caller's. */
export function openTerminal(): { controller: number; peer: number } {
  using controller = new Descriptor(open("/dev/ptmx", openFlags.readWrite | openFlags.noControllingTerminal));
  if (libc.ioctl(controller.fd, TIOCSPTLCK, asBytes(new Int32Array(1))) === -1) {
    throw new SysError(lastErrno(), "ioctl", "TIOCSPTLCK");
  }
  const flags = openFlags.readWrite | openFlags.noControllingTerminal | O_CLOEXEC;
  const peer = libc.ioctlValue(controller.fd, TIOCGPTPEER, flags);
  if (peer === -1) throw new SysError(lastErrno(), "ioctl", "TIOCGPTPEER");
  return { controller: controller.release(), peer };
}

/** The number N of the /dev/pts/N that belongs to a controlling side. */
export function terminalNumber(controller: number): number {
  const number = new Int32Array(1);
  if (libc.ioctl(controller, TIOCGPTN, asBytes(number)) === -1) throw new SysError(lastErrno(), "ioctl", "TIOCGPTN");
  return number[0] ?? -1;
}

/** A terminal's size in characters. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** Sets the size; programs in the foreground are told by SIGWINCH. */
export function setTerminalSize(fd: number, { columns, rows }: TerminalSize): void {
  const size = new Uint8Array(new Uint16Array([rows, columns, 0, 0]).buffer);
  if (libc.ioctl(fd, TIOCSWINSZ, size) === -1)
    throw new SysError(lastErrno(), "ioctl", `TIOCSWINSZ of descriptor ${fd}`);
}

/** The size. @throws SysError ENOTTY: not a terminal. */
export function terminalSize(fd: number): TerminalSize {
  const size = new Uint16Array(4);
  if (libc.ioctl(fd, TIOCGWINSZ, new Uint8Array(size.buffer)) === -1) {
    throw new SysError(lastErrno(), "ioctl", `TIOCGWINSZ of descriptor ${fd}`);
  }
  const [rows = 0, columns = 0] = size;
  return { columns, rows };
}

/** Passes every byte through, without echo, lines or signals, until the end of the scope. @throws SysError ENOTTY */
export function rawMode(fd: number): Disposable {
  const saved = new Uint8Array(termiosSize);
  if (libc.tcgetattr(fd, saved) === -1) throw new SysError(lastErrno(), "tcgetattr", `descriptor ${fd}`);
  const raw = saved.slice();
  libc.cfmakeraw(raw);
  if (libc.tcsetattr(fd, TCSANOW, raw) === -1) throw new SysError(lastErrno(), "tcsetattr", `descriptor ${fd}`);
  return {
    [Symbol.dispose]() {
      // The terminal may be gone by now, with nothing left to restore.
      libc.tcsetattr(fd, TCSANOW, saved);
    },
  };
}

/**
 * The socket on which an OCI runtime hands over the terminal it made for a container: it connects, and sends the
 * controlling side as a descriptor (`--console-socket`, runc's docs/terminals.md). Removed at the end of the scope.
 */
export class ConsoleSocket implements Disposable {
  readonly path: string;
  readonly #listener: Descriptor;

  /** @throws SysError; invalidArgument if the path is longer than a socket's may be (107 bytes). */
  constructor(path: string) {
    this.path = path;
    this.#listener = new Descriptor(listenUnix(path, 1));
  }

  /** Waits for the terminal; the descriptor is the caller's. @throws canceled; dataLoss if none came. */
  async receive(options: WaitOptions = {}): Promise<number> {
    await ready(this.#listener.fd, "read", options);
    const connected = accept(this.#listener.fd);
    if (connected === undefined) throw dataLoss(`the runtime that connected to "${this.path}" went away`);
    using connection = new Descriptor(connected);
    await ready(connection.fd, "read", options);
    const message = receiveDescriptors(connection.fd, new Uint8Array(4096), 4);
    const [terminal, ...surplus] = message?.descriptors ?? [];
    for (const fd of surplus) close(fd);
    if (terminal === undefined) throw dataLoss(`no terminal came over "${this.path}"`);
    return terminal;
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
    rmSync(this.path, { force: true });
  }
}
