/**
 * How: a thread waits in epoll_wait(2) for all descriptors at once and tells which are ready. Each wait has a set of its own with the
 * descriptor, so that one descriptor can be waited for twice, and that set is in the thread's.
 */

import { Worker } from "node:worker_threads";
import { close, eventCounter, write } from "../fd.ts";
import { addToSet, epollSet, setOf } from "./epoll.ts";
import type { Readiness } from "./index.ts";

const EPOLLIN = 1;
/** Told once: the descriptor is taken out when it was. */
const EPOLLONESHOT = 0x40000000;

interface Waiting {
  readonly set: number;
  readonly keepAlive: boolean;
  readonly resolve: () => void;
}

/** The thread, which begins with the first wait and ends with the process. */
class Poller {
  readonly #set = epollSet();
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #alive = 0;

  constructor() {
    // A thread can't be ended amid a call of libc's: it ends itself when the counter, whose key is 0, is ready.
    const end = eventCounter();
    addToSet(this.#set, end, EPOLLIN);
    process.once("exit", () => write(end, new Uint8Array(new BigUint64Array([1n]).buffer)));
    this.#worker = new Worker(new URL("./node-thread.ts", import.meta.url), { workerData: { set: this.#set } });
    this.#worker.unref();
    this.#worker.on("message", (ready: readonly number[]) => {
      for (const key of ready) this.settle(key);
    });
  }

  add(fd: number, events: number, keepAlive: boolean): { key: number; settled: Promise<void> } {
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const set = setOf(fd, events);
    const key = this.#next;
    this.#next = (this.#next % 0x7fffffff) + 1;
    try {
      addToSet(this.#set, set, EPOLLIN | EPOLLONESHOT, key);
    } catch (error) {
      close(set);
      throw error;
    }
    this.#waiting.set(key, { set, keepAlive, resolve });
    if (keepAlive && this.#alive++ === 0) this.#worker.ref();
    return { key, settled };
  }

  settle(key: number): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#waiting.delete(key);
    // Which takes it out of the thread's set, too.
    close(waiting.set);
    if (waiting.keepAlive && --this.#alive === 0) this.#worker.unref();
    waiting.resolve();
  }
}

let poller: Poller | undefined;

export const readiness: Readiness = {
  async wait(fd, events, keepAlive) {
    poller ??= new Poller();
    const { key, settled } = poller.add(fd, events, keepAlive);
    return { settled, giveUp: () => poller?.settle(key) };
  },
};
