/** Network interfaces of the calling thread's network namespace: netdevice(7). */

import { errno, SysError } from "./errno.ts";
import { Descriptor, O_CLOEXEC } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { cString } from "./strings.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCBRDELBR = 0x89a1;
const IFF_UP = 1;
/** struct ifreq: a name of 16 bytes, then a union. */
const requestSize = 40;
const nameSize = 16;

/** Brings an interface up, as `ip link set … up`. @throws SysError ENODEV: there is none of this name. */
export function bringUp(name: string): void {
  using socket = controlSocket();
  setFlags(socket, name, (flags) => flags | IFF_UP);
}

/** Removes a bridge, as `ip link delete …`; one that isn't there is gone already. @throws SysError EINVAL: it is no bridge */
export function removeBridge(name: string): void {
  using socket = controlSocket();
  try {
    // One that is up can't be removed.
    setFlags(socket, name, (flags) => flags & ~IFF_UP);
    if (libc.ioctl(socket.fd, SIOCBRDELBR, requestOf(name).subarray(0, nameSize)) === -1)
      throw new SysError(lastErrno(), "ioctl", `"${name}" remove`);
  } catch (error) {
    if (!(error instanceof SysError && (error.errno === errno.ENODEV || error.errno === errno.ENXIO))) throw error;
  }
}

function controlSocket(): Descriptor {
  const fd = libc.socket(AF_INET, SOCK_DGRAM | O_CLOEXEC, 0);
  if (fd === -1) throw new SysError(lastErrno(), "socket", "");
  return new Descriptor(fd);
}

function requestOf(name: string): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(requestSize);
  request.set(cString(name).subarray(0, nameSize - 1));
  return request;
}

function setFlags(socket: Descriptor, name: string, change: (flags: number) => number): void {
  const request = requestOf(name);
  if (libc.ioctl(socket.fd, SIOCGIFFLAGS, request) === -1) throw new SysError(lastErrno(), "ioctl", `"${name}"`);
  const view = new DataView(request.buffer);
  view.setInt16(nameSize, change(view.getInt16(nameSize, true)), true);
  if (libc.ioctl(socket.fd, SIOCSIFFLAGS, request) === -1) throw new SysError(lastErrno(), "ioctl", `"${name}" flags`);
}
