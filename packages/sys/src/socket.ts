/** Unix sockets as descriptors, and descriptors sent over them. */

import { invalidArgument } from "@hull/errors";
import { errno, SysError } from "./errno.ts";
import { asBytes, close, O_CLOEXEC } from "./fd.ts";
import { addressOf, lastErrno, libc } from "./libc.ts";
import { cString } from "./strings.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const headerSize = 16;

/** The kernel takes at most this many descriptors in one message (SCM_MAX_FD). */
export const maximumDescriptors = 253;

/** Two connected stream sockets. */
export function socketPair(options: { nonBlocking?: boolean } = {}): [number, number] {
  const pair = new Int32Array(2);
  const kind = SOCK_STREAM | O_CLOEXEC | (options.nonBlocking ? SOCK_NONBLOCK : 0);
  if (libc.socketpair(AF_UNIX, kind, 0, asBytes(pair)) === -1) throw new SysError(lastErrno(), "socketpair", "");
  return [pair[0] ?? -1, pair[1] ?? -1];
}

/** struct sockaddr_un of unix(7). */
function unixAddress(path: string): Uint8Array {
  const name = cString(path);
  if (name.length > 108)
    throw invalidArgument(`socket path "${path}" is longer than 107 bytes: use a shorter directory`);
  const address = new Uint8Array(2 + name.length);
  address[0] = AF_UNIX;
  address.set(name, 2);
  return address;
}

/** The same where "@" at the start stands for the abstract space: there the name begins with a null byte, and none follows it. */
function abstractOrPathAddress(path: string): Uint8Array {
  const address = unixAddress(path);
  if (!path.startsWith("@")) return address;
  address[2] = 0;
  return address.subarray(0, -1);
}

/** A listening socket at `path`, non-blocking. The path must be free; whoever listens removes it. */
export function listenUnix(path: string, backlog = 128): number {
  const address = unixAddress(path);
  const fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | O_CLOEXEC, 0);
  if (fd === -1) throw new SysError(lastErrno(), "socket", "");
  if (libc.bind(fd, address, address.length) === -1 || libc.listen(fd, backlog) === -1) {
    const error = lastErrno();
    close(fd);
    throw new SysError(error, "bind", `"${path}"`);
  }
  return fd;
}

/** The next connection, or undefined when nobody waits. */
export function accept(listener: number): number | undefined {
  for (;;) {
    const fd = libc.accept4(listener, null, null, O_CLOEXEC);
    if (fd !== -1) return fd;
    const error = lastErrno();
    if (error === errno.EAGAIN) return undefined;
    if (error !== errno.EINTR && error !== errno.ECONNABORTED) {
      throw new SysError(error, "accept4", `descriptor ${listener}`);
    }
  }
}

/** A connection to the socket at `path`, blocking. */
export function connectUnix(path: string): number {
  const address = unixAddress(path);
  const fd = libc.socket(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0);
  if (fd === -1) throw new SysError(lastErrno(), "socket", "");
  if (libc.connect(fd, address, address.length) === -1) {
    const error = lastErrno();
    close(fd);
    throw new SysError(error, "connect", `"${path}"`);
  }
  return fd;
}

function datagramSocket(flags = 0): number {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | O_CLOEXEC | flags, 0);
  if (fd === -1) throw new SysError(lastErrno(), "socket", "");
  return fd;
}

/** A non-blocking socket that receives datagrams at `path`, named as for `sendDatagram`; `receiveDescriptors` reads them. */
export function listenDatagrams(path: string): number {
  const address = abstractOrPathAddress(path);
  const fd = datagramSocket(SOCK_NONBLOCK);
  if (libc.bind(fd, address, address.length) !== -1) return fd;
  const error = lastErrno();
  close(fd);
  throw new SysError(error, "bind", `"${path}"`);
}

/**
 * Sends one datagram to the socket at `path`; a path that starts with "@" names one in the abstract space of unix(7).
 *
 * @throws SysError, EMSGSIZE among them for data that doesn't fit into one; InvalidArgument for a path that is too long
 */
export function sendDatagram(path: string, data: Uint8Array): void {
  const address = abstractOrPathAddress(path);
  const fd = datagramSocket();
  try {
    if (libc.connect(fd, address, address.length) === -1) throw new SysError(lastErrno(), "connect", `"${path}"`);
    sendDescriptors(fd, data, []);
  } finally {
    close(fd);
  }
}

/** Who is at the other end: as of the connect, by the kernel's word. */
export function peerCredentials(fd: number): { pid: number; user: number; group: number } {
  const credentials = new Int32Array(3);
  const length = new Uint32Array([12]);
  if (libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, asBytes(credentials), asBytes(length)) === -1) {
    throw new SysError(lastErrno(), "getsockopt", `SO_PEERCRED of descriptor ${fd}`);
  }
  const [pid = 0, user = 0, group = 0] = credentials;
  return { pid, user: user >>> 0, group: group >>> 0 };
}

/** struct msghdr with one struct iovec, and room for a control message; see recvmsg(2) and cmsg(3). */
class Message {
  readonly header = new BigUint64Array(7);
  readonly control: Uint8Array<ArrayBuffer>;
  readonly #vector: BigUint64Array;
  readonly #data: Uint8Array;

  constructor(data: Uint8Array, controlLength: number) {
    this.#data = data;
    this.control = new Uint8Array(controlLength);
    this.#vector = new BigUint64Array([BigInt(addressOf(data)), BigInt(data.length)]);
    this.header[2] = BigInt(addressOf(this.#vector));
    this.header[3] = 1n;
    if (controlLength > 0) {
      this.header[4] = BigInt(addressOf(this.control));
      this.header[5] = BigInt(controlLength);
    }
  }

  /** Bytes of control messages received. */
  get controlLength(): number {
    return Number(this.header[5] ?? 0n);
  }

  get flags(): number {
    return Number((this.header[6] ?? 0n) & 0xffffffffn);
  }

  /** The header holds addresses only: what they point at must outlive the call. */
  keepAlive(): number {
    return this.#data.length + this.#vector.length + this.control.length;
  }
}

/**
 * Sends bytes, and copies of descriptors with the first of them.
 *
 * @returns the bytes taken (the descriptors went with them), undefined when a non-blocking socket takes none now.
 */
export function sendDescriptors(socket: number, data: Uint8Array, descriptors: readonly number[]): number | undefined {
  if (data.length === 0) throw invalidArgument("descriptors travel with at least one byte of data");
  if (descriptors.length > maximumDescriptors) {
    throw invalidArgument(`${descriptors.length} descriptors are more than the ${maximumDescriptors} of one message`);
  }
  const length = headerSize + 4 * descriptors.length;
  const message = new Message(data, descriptors.length === 0 ? 0 : (length + 7) & ~7);
  if (descriptors.length > 0) {
    const view = new DataView(message.control.buffer);
    view.setBigUint64(0, BigInt(length), true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, SCM_RIGHTS, true);
    descriptors.forEach((fd, index) => {
      view.setInt32(headerSize + 4 * index, fd, true);
    });
  }
  for (;;) {
    const count = libc.sendmsg(socket, asBytes(message.header), MSG_NOSIGNAL);
    const error = count === -1 ? lastErrno() : 0;
    message.keepAlive();
    if (count !== -1) return count;
    if (error === errno.EAGAIN) return undefined;
    if (error !== errno.EINTR) throw new SysError(error, "sendmsg", `descriptor ${socket}`);
  }
}

/** What one message brought. */
export interface ReceivedMessage {
  /** Bytes put into the buffer; 0 when the peer has closed. */
  readonly count: number;
  /** Descriptors, the receiver's to close; closed on exec. */
  readonly descriptors: readonly number[];
}

/**
 * Receives bytes into `into`, and the descriptors that came with them.
 *
 * @returns undefined when a non-blocking socket has nothing.
 * @throws SysError; EMSGSIZE if more descriptors came than `maximum` (those that did are closed).
 */
export function receiveDescriptors(socket: number, into: Uint8Array, maximum = 16): ReceivedMessage | undefined {
  if (into.length === 0) throw invalidArgument("receiving needs room for at least one byte");
  const message = new Message(into, (headerSize + 4 * maximum + 7) & ~7);
  for (;;) {
    const count = libc.recvmsg(socket, asBytes(message.header), MSG_CMSG_CLOEXEC);
    const error = count === -1 ? lastErrno() : 0;
    message.keepAlive();
    if (count === -1) {
      if (error === errno.EAGAIN) return undefined;
      if (error === errno.EINTR) continue;
      throw new SysError(error, "recvmsg", `descriptor ${socket}`);
    }
    const descriptors = descriptorsIn(message);
    if ((message.flags & MSG_CTRUNC) === 0) return { count, descriptors };
    for (const fd of descriptors) close(fd);
    throw new SysError(errno.EMSGSIZE, "recvmsg", `more than ${maximum} descriptors from descriptor ${socket}`);
  }
}

function descriptorsIn({ control, controlLength }: Message): number[] {
  const view = new DataView(control.buffer);
  const descriptors: number[] = [];
  for (let at = 0; at + headerSize <= controlLength; ) {
    const length = Number(view.getBigUint64(at, true));
    if (length < headerSize) break;
    const rights = view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SCM_RIGHTS;
    for (let fd = at + headerSize; rights && fd + 4 <= at + length; fd += 4) descriptors.push(view.getInt32(fd, true));
    at += (length + 7) & ~7;
  }
  return descriptors;
}
