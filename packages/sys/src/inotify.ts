/** Changes to files and directories, by event: inotify(7). */

import { SysError } from "./errno.ts";
import { Descriptor } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { readStream } from "./stream.ts";
import { cString } from "./strings.ts";
import type { WaitOptions } from "./watch.ts";

/** What can be watched for: include/uapi/linux/inotify.h. */
export const inotifyEvents = {
  modified: 0x2,
  attributes: 0x4,
  closedAfterWrite: 0x8,
  opened: 0x20,
  movedFrom: 0x40,
  movedTo: 0x80,
  created: 0x100,
  deleted: 0x200,
  selfDeleted: 0x400,
  selfMoved: 0x800,
  /** Told without asking. */
  unmounted: 0x2000,
  /** Told without asking: events were lost; look at everything anew. Its watch is -1. */
  overflow: 0x4000,
  /** Told without asking: the watch is gone. */
  ignored: 0x8000,
} as const;

/** One change. */
export interface InotifyEvent {
  /** The number that `add` gave. */
  readonly watch: number;
  /** `inotifyEvents`, combined. */
  readonly events: number;
  /** Joins a `movedFrom` to its `movedTo`. */
  readonly cookie: number;
  /** The name in the watched directory; empty for the watched thing itself. */
  readonly name: string;
}

/** A set of watches and the queue of what they saw. Closed at the end of the scope, with all its watches. */
export class Inotify implements Disposable {
  readonly #fd: Descriptor;

  constructor() {
    const NONBLOCK_AND_CLOEXEC = 0o4000 | 0o2000000;
    const fd = libc.inotify_init1(NONBLOCK_AND_CLOEXEC);
    if (fd === -1) throw new SysError(lastErrno(), "inotify_init1", "");
    this.#fd = new Descriptor(fd);
  }

  /** Watches a file or directory for `events` (`inotifyEvents`, combined). @returns the watch's number. */
  add(path: string, events: number): number {
    const watch = libc.inotify_add_watch(this.#fd.fd, cString(path), events);
    if (watch === -1) throw new SysError(lastErrno(), "inotify_add_watch", `"${path}"`);
    return watch;
  }

  /** Ends a watch. */
  remove(watch: number): void {
    if (libc.inotify_rm_watch(this.#fd.fd, watch) === -1)
      throw new SysError(lastErrno(), "inotify_rm_watch", `${watch}`);
  }

  /** The changes, as they happen, without end. @throws canceled */
  async *changes(options: WaitOptions = {}): AsyncGenerator<InotifyEvent, void> {
    for await (const chunk of readStream(this.#fd.fd, options)) yield* parseInotifyEvents(chunk);
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

/** Reads struct inotify_event, one after the other. The kernel never cuts one in two. */
export function* parseInotifyEvents(bytes: Uint8Array): Generator<InotifyEvent, void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerSize = 16;
  for (let at = 0; at + headerSize <= bytes.length; ) {
    const length = view.getUint32(at + 12, true);
    const name = bytes.subarray(at + headerSize, at + headerSize + length);
    const end = name.indexOf(0);
    yield {
      watch: view.getInt32(at, true),
      events: view.getUint32(at + 4, true),
      cookie: view.getUint32(at + 8, true),
      name: new TextDecoder().decode(end === -1 ? name : name.subarray(0, end)),
    };
    at += headerSize + length;
  }
}
