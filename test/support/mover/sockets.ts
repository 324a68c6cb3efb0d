import { errno, SysError } from "@hull/sys/errno";
import { asBytes, close, O_CLOEXEC } from "@hull/sys/fd";
import { lastErrno, libc } from "@hull/sys/libc";

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;

/** Waits for one connection to a port of 127.0.0.1. Blocks. @param listening told when there can be one @throws SysError */
export function acceptOne(port: number, listening: () => void): number {
  const listener = libc.socket(AF_INET, SOCK_STREAM | O_CLOEXEC, 0);
  if (listener === -1) throw new SysError(lastErrno(), "socket", "");
  try {
    // struct sockaddr_in of ip(7).
    const address = new Uint8Array(16);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_INET, true);
    view.setUint16(2, port);
    address.set([127, 0, 0, 1], 4);
    // The connection before may still be waiting for its last segments.
    libc.setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, asBytes(new Int32Array([1])), 4);
    if (libc.bind(listener, address, address.length) === -1 || libc.listen(listener, 1) === -1)
      throw new SysError(lastErrno(), "bind", `port ${port}`);
    listening();
    return accepted(listener);
  } finally {
    close(listener);
  }
}

function accepted(listener: number): number {
  for (;;) {
    const fd = libc.accept4(listener, null, null, O_CLOEXEC);
    if (fd !== -1) return fd;
    const error = lastErrno();
    if (error !== errno.EINTR) throw new SysError(error, "accept4", `descriptor ${listener}`);
  }
}
