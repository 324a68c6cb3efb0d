/** Network interfaces of the calling thread's network namespace: netdevice(7). */

import { SysError } from "./errno.ts";
import { Descriptor, O_CLOEXEC } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { cString } from "./strings.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
/** struct ifreq: a name of 16 bytes, then a union. */
const requestSize = 40;
const flagsAt = 16;

/** Brings an interface up, as `ip link set … up`. @throws SysError ENODEV: there is none of this name. */
export function bringUp(name: string): void {
  const fd = libc.socket(AF_INET, SOCK_DGRAM | O_CLOEXEC, 0);
  if (fd === -1) throw new SysError(lastErrno(), "socket", "");
  using socket = new Descriptor(fd);
  const request = new Uint8Array(requestSize);
  request.set(cString(name).subarray(0, flagsAt - 1));
  if (libc.ioctl(socket.fd, SIOCGIFFLAGS, request) === -1) throw new SysError(lastErrno(), "ioctl", `"${name}"`);
  const view = new DataView(request.buffer);
  view.setInt16(flagsAt, view.getInt16(flagsAt, true) | IFF_UP, true);
  if (libc.ioctl(socket.fd, SIOCSIFFLAGS, request) === -1) throw new SysError(lastErrno(), "ioctl", `"${name}" up`);
}
