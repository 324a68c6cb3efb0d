/** Network interfaces of the calling thread's network namespace: netdevice(7). */

import { readFileSync } from "node:fs";
import { errno, SysError } from "./errno.ts";
import { Descriptor, O_CLOEXEC } from "./fd.ts";
import { addressOf, lastErrno, libc } from "./libc.ts";
import { cString } from "./strings.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SIOCADDRT = 0x890b;
const SIOCGIFINDEX = 0x8933;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCBRDELBR = 0x89a1;
const IFF_UP = 1;
const RTF_UP = 1;
const RTF_GATEWAY = 2;
const RTF_REJECT = 0x200;
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

/**
 * Makes a gateway the way to all that no other route leads to, as `ip route add default via …`, unless there is such a route already.
 * @param name interface by which the gateway is reached
 * @param gateway the 4 or 16 bytes of its address
 */
export function addDefaultRoute(name: string, gateway: Uint8Array): void {
  const isIpv6 = gateway.length === 16;
  if (hasDefaultRoute(isIpv6)) return;
  using socket = controlSocket(isIpv6 ? AF_INET6 : AF_INET);
  const route = isIpv6 ? routeIpv6(socket, name, gateway) : routeIpv4(name, gateway);
  if (libc.ioctl(socket.fd, SIOCADDRT, route.bytes) === -1)
    throw new SysError(lastErrno(), "ioctl", `default route by "${name}"`);
}

/** Of the calling thread's namespace: proc(5), /proc/net/route, and ipv6_route, whose last but one field has RTF_REJECT where it leads nowhere. */
function hasDefaultRoute(isIpv6: boolean): boolean {
  const lines = readFileSync(`/proc/thread-self/net/${isIpv6 ? "ipv6_route" : "route"}`, "utf8").split("\n");
  return lines.some((line) => {
    const fields = line.trim().split(/\s+/);
    if (!isIpv6) return fields[1] === "00000000" && fields[7] === "00000000";
    const rejects = (Number.parseInt(fields[8] ?? "0", 16) & RTF_REJECT) !== 0;
    return fields[0] === "0".repeat(32) && fields[1] === "00" && !rejects;
  });
}

/** struct rtentry, linux/route.h. `device` is what it points to: it has to live as long. */
function routeIpv4(name: string, gateway: Uint8Array): { bytes: Uint8Array; device: Uint8Array } {
  const device = cString(name);
  const bytes = new Uint8Array(120);
  const view = new DataView(bytes.buffer);
  for (const at of [8, 24, 40]) view.setUint16(at, AF_INET, true);
  bytes.set(gateway, 28);
  view.setUint16(56, RTF_UP | RTF_GATEWAY, true);
  view.setBigUint64(88, BigInt(addressOf(device)), true);
  return { bytes, device };
}

/** struct in6_rtmsg, linux/ipv6_route.h. */
function routeIpv6(socket: Descriptor, name: string, gateway: Uint8Array): { bytes: Uint8Array } {
  const index = requestOf(name);
  if (libc.ioctl(socket.fd, SIOCGIFINDEX, index) === -1) throw new SysError(lastErrno(), "ioctl", `"${name}"`);
  const bytes = new Uint8Array(80);
  const view = new DataView(bytes.buffer);
  bytes.set(gateway, 32);
  view.setUint32(56, 1024, true);
  view.setUint32(72, RTF_UP | RTF_GATEWAY, true);
  view.setInt32(76, new DataView(index.buffer).getInt32(nameSize, true), true);
  return { bytes };
}

function controlSocket(family = AF_INET): Descriptor {
  const fd = libc.socket(family, SOCK_DGRAM | O_CLOEXEC, 0);
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
