import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { loadNetworks, type Network } from "@hull/cni";
import type { Logger } from "@hull/engine/log";
import { HullError, unknown } from "@hull/errors";
import { Inotify, type InotifyEvent, inotifyEvents } from "@hull/sys/inotify";

const { closedAfterWrite, created, deleted, movedFrom, movedTo, selfDeleted, selfMoved, ignored } = inotifyEvents;
const watched = closedAfterWrite | created | deleted | movedFrom | movedTo | selfDeleted | selfMoved;

/** What go-cni says where there is no network. */
export const notInitialized = "cni plugin not initialized";

/** The networks of a directory of configurations, as they are now. */
export class NetworkDirectory implements Disposable {
  readonly #path: string;
  readonly #most: number;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  #networks: readonly Network[] = [];
  #failure = notInitialized;

  /** `most`: how many count, by name; 0: all. */
  constructor(path: string, most: number, log: Logger) {
    this.#path = path;
    this.#most = most;
    this.#log = log;
  }

  /** The networks that pods are attached to. @throws Unknown if there are none */
  get networks(): readonly Network[] {
    if (this.#networks.length === 0) throw unknown(notInitialized);
    return this.#networks;
  }

  /** The same, none if there are none. */
  get loaded(): readonly Network[] {
    return this.#networks;
  }

  /** `OK`, or what was wrong with the last load. */
  get status(): string {
    return this.#failure === "" ? "OK" : this.#failure;
  }

  /** Loads the networks, and again whenever they change, until it is disposed of. The directory is made where it is missing. */
  watch(): void {
    this.load("failed to load cni during init, please check CRI plugin status before setting up network for pods");
    this.#follow().catch((error: unknown) => {
      if (this.#closing.signal.aborted) return;
      const fields = { directory: this.#path, error: HullError.from(error).message };
      this.#log.log("error", "changes of the network configuration aren't seen any more", fields);
    });
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      // Others than root read what is beside it.
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o755 });
      mkdirSync(this.#path, { recursive: true, mode: 0o700 });
      using changes = new Inotify();
      changes.add(this.#path, watched);
      // What came between the first load and the watch.
      this.load();
      for await (const change of changes.changes({ signal, keepAlive: false })) {
        if (isEnd(change)) break;
        this.load();
      }
    }
  }

  /** Reads the directory anew. On failure there are no networks. */
  load(warning = "failed to reload cni configuration after receiving fs change event"): void {
    const before = this.#failure;
    try {
      const most = this.#most === 0 ? Number.POSITIVE_INFINITY : this.#most;
      this.#networks = loadNetworks(this.#path, { most });
      const none = `no network config found in ${this.#path}: ${notInitialized}`;
      this.#failure = this.#networks.length > 0 ? "" : inLoad(none);
    } catch (error) {
      this.#networks = [];
      this.#failure = inLoad(`${HullError.from(error).message}: invalid cni config`);
    }
    if (this.#failure !== "" && this.#failure !== before) this.#log.log("warn", warning, { error: this.#failure });
  }

  [Symbol.dispose](): void {
    this.#closing.abort();
  }
}

const inLoad = (text: string): string => `cni config load failed: ${text}: failed to load cni config`;

/** The directory itself is gone, or another. */
const isEnd = ({ events }: InotifyEvent): boolean => (events & (selfDeleted | selfMoved | ignored)) !== 0;
