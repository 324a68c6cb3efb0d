/**
 * The pods and containers of this process, by id (or the beginning of one), with their names and locks.
 *
 *   reserveName ──► locked(id): record written, value added ──► … ──► locked(id): record gone, remove ──► releaseName
 *
 * In memory alone: what is behind them is written by whoever changes them.
 */

import { KeyedLock } from "@hull/engine/runtime/keyed-lock";
import { notFound } from "@hull/errors";
import type { Pod, PodContainer } from "../model.ts";
import { within } from "../wrap.ts";
import { IdIndex } from "./id-index.ts";
import { Names } from "./names.ts";

/** Values by id, in the order in which they came. */
export class Store<T extends { readonly id: string; readonly name: string }> {
  readonly #values = new Map<string, T>();
  readonly #index = new IdIndex();
  readonly #names = new Names();
  readonly #locks = new KeyedLock();
  readonly #what: string;

  /** `what` begins the text of an error: `container` or `sandbox`. */
  constructor(what: string) {
    this.#what = what;
  }

  /**
   * By id or a beginning that no other has. `failed` is the text of the errors, containerd's unless told.
   * @throws NotFound; Unknown if it is the beginning of several, or empty
   */
  get(
    idOrPrefix: string,
    failed = `an error occurred when try to find ${this.#what} ${JSON.stringify(idOrPrefix)}`,
  ): T {
    const found = within(failed, () => this.find(idOrPrefix));
    if (found === undefined) throw notFound(failed);
    return found;
  }

  /** As `get`, but undefined for what isn't there. @throws Unknown if it is the beginning of several, or empty */
  find(idOrPrefix: string): T | undefined {
    const exact = this.#values.get(idOrPrefix);
    if (exact !== undefined) return exact;
    const id = this.#index.resolve(idOrPrefix);
    return id === undefined ? undefined : this.#values.get(id);
  }

  /** The whole id of what begins so, or what was given. Never throws: for filters of lists. */
  resolve(idOrPrefix: string): string {
    if (this.#values.has(idOrPrefix)) return idOrPrefix;
    try {
      return this.#index.resolve(idOrPrefix) ?? idOrPrefix;
    } catch {
      return idOrPrefix;
    }
  }

  /** By its whole id. */
  exact(id: string): T | undefined {
    return this.#values.get(id);
  }

  list(): T[] {
    return [...this.#values.values()];
  }

  get size(): number {
    return this.#values.size;
  }

  add(value: T): void {
    this.#values.set(value.id, value);
    this.#index.add(value.id);
  }

  /** Forgets a value; its name stays taken. */
  remove(id: string): void {
    if (this.#values.delete(id)) this.#index.remove(id);
  }

  /** @throws FailedPrecondition if another id has the name */
  reserveName(name: string, id: string): void {
    this.#names.reserve(name, id);
  }

  releaseName(name: string, id: string): void {
    this.#names.release(name, id);
  }

  /** Runs `work` alone among what is run for this id. It must not call `locked` of the same store and id again. */
  locked<R>(id: string, work: () => Promise<R>): Promise<R> {
    return this.#locks.run(id, work);
  }
}

export class PodStore extends Store<Pod> {
  constructor() {
    super("sandbox");
  }
}

export class PodContainerStore extends Store<PodContainer> {
  readonly #byPod = new Map<string, Set<PodContainer>>();

  constructor() {
    super("container");
  }

  override add(container: PodContainer): void {
    super.add(container);
    const siblings = this.#byPod.get(container.podId) ?? new Set();
    this.#byPod.set(container.podId, siblings.add(container));
  }

  override remove(id: string): void {
    const container = this.exact(id);
    super.remove(id);
    if (container === undefined) return;
    const siblings = this.#byPod.get(container.podId);
    siblings?.delete(container);
    if (siblings?.size === 0) this.#byPod.delete(container.podId);
  }

  /** Those of a pod, in the order in which they came. */
  ofPod(podId: string): PodContainer[] {
    return [...(this.#byPod.get(podId) ?? [])];
  }
}

/** A new id: 64 hexadecimal digits. */
export const newId = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
