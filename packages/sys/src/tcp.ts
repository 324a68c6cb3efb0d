/** Connections over TCP as descriptors, where a socket has to be made in a network namespace other than the process's. */

import { errno, SysError } from "./errno.ts";
import { asBytes, close, O_CLOEXEC } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SHUT_WR = 1;
const SO_KEEPALIVE = 9;
const IPPROTO_TCP = 6;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;

/** struct sockaddr_in of ip(7), or sockaddr_in6 of ipv6(7), for the loopback interface. */
function loopbackAddress(family: "4" | "6", port: number): Uint8Array {
  const address = new Uint8Array(family === "4" ? 16 : 28);
  const view = new DataView(address.buffer);
  view.setUint16(0, family === "4" ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  if (family === "4") address.set([127, 0, 0, 1], 4);
  else address[23] = 1;
  return address;
}

/**
 * A non-blocking socket that is being connected to a port of the loopback interface (127.0.0.1 or ::1). It can be written when it is, or
 * can't be: `connectionResult` tells.
 *
 * @throws SysError
 */
export function startConnection(family: "4" | "6", port: number): number {
  const fd = libc.socket(family === "4" ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | O_CLOEXEC, 0);
  if (fd === -1) throw new SysError(lastErrno(), "socket", "");
  const address = loopbackAddress(family, port);
  if (libc.connect(fd, address, address.length) === 0) return fd;
  const error = lastErrno();
  if (error === errno.EINPROGRESS) return fd;
  close(fd);
  throw new SysError(error, "connect", `port ${port}`);
}

/** Takes what became of a connection that was begun. @throws SysError why it failed */
export function connectionResult(fd: number): void {
  const result = new Int32Array(1);
  const length = new Uint32Array([4]);
  if (libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, asBytes(result), asBytes(length)) === -1)
    throw new SysError(lastErrno(), "getsockopt", `SO_ERROR of descriptor ${fd}`);
  const [error = 0] = result;
  if (error !== 0) throw new SysError(error, "connect", `descriptor ${fd}`);
}

/** Tells the other side of a connection that nothing more comes. A connection that is gone already is fine. */
export function shutdownWriting(fd: number): void {
  if (libc.shutdown(fd, SHUT_WR) === 0) return;
  const error = lastErrno();
  if (error !== errno.ENOTCONN) throw new SysError(error, "shutdown", `descriptor ${fd}`);
}

/** How it is found out that the other side of a connection has gone without a word. Seconds. */
export interface KeepAlive {
  /** Without a byte, until it is asked whether it is there. */
  readonly idle: number;
  /** Until it is asked again. */
  readonly interval: number;
  /** Questions without an answer after which it has gone. */
  readonly count: number;
}

/** Has the kernel look after the other side of a connection. tcp(7). @throws SysError */
export function keepAlive(fd: number, { idle, interval, count }: KeepAlive): void {
  const set = (level: number, option: number, value: number): void => {
    if (libc.setsockopt(fd, level, option, asBytes(new Int32Array([value])), 4) === -1)
      throw new SysError(lastErrno(), "setsockopt", `of descriptor ${fd}`);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, idle);
  set(IPPROTO_TCP, TCP_KEEPINTVL, interval);
  set(IPPROTO_TCP, TCP_KEEPCNT, count);
}
