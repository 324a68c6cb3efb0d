/**
 * News of a container's processes being killed for want of memory, at the moment when the kernel does it.
 *
 *   version 1   an event counter registered with memory.oom_control, which counts how often the limit could not be kept
 *   version 2   a change of memory.events, in which `oom_kill` counts the killed
 *
 * systemd removes a scope's group as soon as its last process has ended, which may be before its file was read. The group above counts those
 * below it too.
 *
 * Source: the kernel's Documentation/admin-guide/cgroup-v1/memory.rst ("OOM Control") and cgroup-v2.rst.
 */

import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { close, eventCounter, open, openFlags, read } from "@hull/sys/fd";
import { Inotify, inotifyEvents } from "@hull/sys/inotify";
import { ready } from "@hull/sys/watch";
import { type CgroupPaths, keyValues, readText } from "./cgroup.ts";

/** How long a container must have run to be watched: one that is over sooner is looked at when it ends. */
const quietMs = 100;

/** Watches one container from its start to its end. */
export class OomWatch {
  readonly #paths: CgroupPaths;
  readonly #tell: () => void;
  readonly #stop = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  /** How many kills have been told of. */
  #told = 0n;
  /** What the group above had counted before. */
  readonly #above: bigint | undefined;

  /**
   * @param above `killsAbove` from before the container's start
   * @param tell called for each event; several kills at once may be one
   */
  constructor(paths: CgroupPaths, above: bigint | undefined, tell: () => void) {
    this.#paths = paths;
    this.#tell = tell;
    this.#above = above;
    this.#timer = setTimeout(() => {
      // Without a watch (no inotify instance left, say) the end still tells.
      this.#watch().catch(() => {});
    }, quietMs);
    this.#timer.unref();
  }

  /**
   * The container has ended, by SIGKILL or else: tells what was not told before, and watches no longer. Where its group has gone, with what it
   * counted, one that was killed while the group above counted a kill is taken for the one.
   * @returns whether there ever was something to tell
   */
  end(wasKilled: boolean): boolean {
    clearTimeout(this.#timer);
    this.#stop.abort();
    this.#compare();
    if (this.#told === 0n && wasKilled && this.#above !== undefined && this.#kills() === undefined) {
      if ((killsAbove(this.#paths) ?? 0n) > this.#above) {
        this.#told = 1n;
        this.#tell();
      }
    }
    return this.#told > 0n;
  }

  async #watch(): Promise<void> {
    const { v1, v2 } = this.#paths;
    const memory = v1.get("memory");
    if (memory !== undefined) await this.#watchCounter(memory);
    else if (v2 !== undefined) await this.#watchFile(join(v2, "memory.events"));
  }

  async #watchCounter(directory: string): Promise<void> {
    const options = { signal: this.#stop.signal, keepAlive: false };
    const counter = eventCounter();
    const control = open(join(directory, "memory.oom_control"), openFlags.readOnly);
    try {
      writeFileSync(join(directory, "cgroup.event_control"), `${counter} ${control}`);
      this.#compare();
      for (;;) {
        await ready(counter, "read", options);
        read(counter, new Uint8Array(8));
        // Removing the group is an event too.
        if (!existsSync(directory)) return;
        const kills = this.#kills() ?? 0n;
        // The kernel may count the killed a moment later: told of now, they are not told of again.
        this.#told = kills > this.#told ? kills : this.#told + 1n;
        this.#tell();
      }
    } finally {
      close(control);
      close(counter);
    }
  }

  async #watchFile(file: string): Promise<void> {
    using changes = new Inotify();
    changes.add(file, inotifyEvents.modified);
    this.#compare();
    for await (const _ of changes.changes({ signal: this.#stop.signal, keepAlive: false })) this.#compare();
  }

  #compare(): void {
    const kills = this.#kills() ?? 0n;
    if (kills <= this.#told) return;
    this.#told = kills;
    this.#tell();
  }

  /** Undefined if the group is gone. */
  #kills(): bigint | undefined {
    const { v1, v2 } = this.#paths;
    const memory = v1.get("memory");
    return killsIn(memory === undefined ? v2 && join(v2, "memory.events") : join(memory, "memory.oom_control"));
  }
}

/** How many have been killed in the group above a container's, and below it. Undefined with version 1, which doesn't count so. */
export const killsAbove = ({ v1, v2 }: CgroupPaths): bigint | undefined =>
  v2 === undefined || v1.has("memory") ? undefined : killsIn(join(dirname(v2), "memory.events"));

const killsIn = (file: string | undefined): bigint | undefined =>
  file === undefined ? undefined : keyValues(readText(file)).get("oom_kill");
