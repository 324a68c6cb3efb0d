import { isErrno } from "@hull/sys/errno";
import { close, open, openFlags } from "@hull/sys/fd";
import { Inotify, inotifyEvents } from "@hull/sys/inotify";

/** How long a reader may come after the process has ended. containerd doesn't start a process before its readers are there; nor does it wait. */
const patienceMs = 10_000;

const self = (fd: number): string => `/proc/self/fd/${fd}`;

/**
 * Output in a FIFO whose readers come late, or come back after they were restarted: kept until there is one, who then sees its end.
 *
 *   keep ──► (nobody reads) ──opened by a reader, or too late──► closed
 *
 * A reader that waits for the end, and only then for the task's deletion, must not wait for ever: dockerd does that when it comes back.
 */
export class LateOutput implements Disposable {
  #end: number | undefined;
  readonly #stop = new AbortController();

  private constructor(end: number) {
    this.#end = end;
    setTimeout(() => this[Symbol.dispose](), patienceMs).unref();
    // Where no more can be watched for, what is kept is closed when it is too late.
    this.#await().catch(() => {});
  }

  /** Takes the reading and writing end of a FIFO and closes it, if somebody else reads there; else gives what keeps it. */
  static keep(end: number): LateOutput | undefined {
    const kept = endUnlessUnread(end);
    return kept === undefined ? undefined : new LateOutput(kept);
  }

  async #await(): Promise<void> {
    if (this.#end === undefined) return;
    using inotify = new Inotify();
    let watch = inotify.add(self(this.#end), inotifyEvents.opened);
    for await (const { events } of inotify.changes({ signal: this.#stop.signal })) {
      if ((events & inotifyEvents.opened) === 0) continue;
      if (this.#end === undefined) return;
      // What is opened to look for readers is not to be seen.
      inotify.remove(watch);
      this.#end = endUnlessUnread(this.#end);
      if (this.#end === undefined) return;
      watch = inotify.add(self(this.#end), inotifyEvents.opened);
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    if (this.#end !== undefined) close(this.#end);
    this.#end = undefined;
  }
}

/** Closes a FIFO's reading and writing end; if nobody else reads, returns one that keeps what is in it. */
function endUnlessUnread(end: number): number | undefined {
  const writer = open(self(end), openFlags.writeOnly | openFlags.nonBlocking);
  close(end);
  try {
    // ENXIO says that no reader is left: fifo(7).
    close(open(self(writer), openFlags.writeOnly | openFlags.nonBlocking));
    return undefined;
  } catch (error) {
    if (!isErrno(error, "ENXIO")) throw error;
    return open(self(writer), openFlags.readWrite | openFlags.nonBlocking);
  } finally {
    close(writer);
  }
}
