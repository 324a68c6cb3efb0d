/**
 * How: the descriptor is put into an epoll set of its own, and that set, which is itself a pollable descriptor, is given to the runtime's loop
 * as if it were a connection. When the set becomes readable the loop tries to receive from it, learns that it isn't a socket (ENOTSOCK),
 * closes it and says so; that is the event. No thread, no polling, any descriptor.
 */

import { setOf } from "./epoll.ts";
import type { Readiness } from "./index.ts";

// The runtime's types know this form for servers only; the runtime itself takes it here as well.
const adopt = Bun.connect as unknown as (options: Bun.FdSocketOptions) => Promise<Bun.Socket>;

export const readiness: Readiness = {
  async wait(fd, events, keepAlive) {
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const socket = await adopt({
      fd: setOf(fd, events),
      socket: {
        open(opened) {
          if (!keepAlive) opened.unref();
        },
        data() {},
        error() {},
        close: () => resolve(),
      },
    });
    return { settled, giveUp: () => socket.terminate() };
  },
};
