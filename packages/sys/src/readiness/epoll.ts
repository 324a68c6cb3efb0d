import { arch } from "../arch.ts";
import { SysError } from "../errno.ts";
import { close } from "../fd.ts";
import { lastErrno, libc } from "../libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;

/** A new set. It is the caller's to close. */
export function epollSet(): number {
  const set = libc.epoll_create1(EPOLL_CLOEXEC);
  if (set === -1) throw new SysError(lastErrno(), "epoll_create1", "");
  return set;
}

/** struct epoll_event of epoll_ctl(2): the events, then 8 bytes of the caller's, of which 4 are used. */
export function epollEvent(events: number, data: number): Uint8Array {
  const event = new Uint8Array(arch.epollEventSize);
  const view = new DataView(event.buffer);
  view.setUint32(0, events, true);
  view.setUint32(arch.epollEventSize - 8, data, true);
  return event;
}

/** @throws SysError */
export function addToSet(set: number, fd: number, events: number, data = 0): void {
  if (libc.epoll_ctl(set, EPOLL_CTL_ADD, fd, epollEvent(events, data)) !== -1) return;
  throw new SysError(lastErrno(), "epoll_ctl", `descriptor ${fd}`);
}

/** A set of one descriptor, itself ready when that is. */
export function setOf(fd: number, events: number): number {
  const set = epollSet();
  try {
    addToSet(set, fd, events);
    return set;
  } catch (error) {
    close(set);
    throw error;
  }
}
