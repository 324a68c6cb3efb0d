/** The thread of `node.ts`: it tells which waits are over. */

import { parentPort, workerData } from "node:worker_threads";
import { arch } from "../arch.ts";
import { errno } from "../errno.ts";
import { lastErrno, libc } from "../libc.ts";

const most = 64;
const events = new Uint8Array(most * arch.epollEventSize);
const view = new DataView(events.buffer);
const { set } = workerData as { set: number };

for (;;) {
  const count = libc.epoll_wait(set, events, most, -1);
  if (count === -1 && lastErrno() === errno.EINTR) continue;
  if (count === -1) break;
  const ready: number[] = [];
  for (let index = 0; index < count; index++) {
    ready.push(view.getUint32(index * arch.epollEventSize + arch.epollEventSize - 8, true));
  }
  if (ready.includes(0)) break;
  parentPort?.postMessage(ready);
}
