import type { Nanoseconds } from "@hull/engine/labels";
import { HullError } from "@hull/errors";

/** What a container's own layer takes on disk. */
export interface LayerUse {
  /** 0: not looked at yet. */
  readonly at: Nanoseconds;
  readonly bytes: bigint;
  readonly inodes: bigint;
}

const unseen: LayerUse = { at: 0n, bytes: 0n, inodes: 0n };

/** Names a layer among those of all snapshotters, whose own names have no space. */
export const layerId = (snapshotter: string, key: string): string => `${snapshotter} ${key}`;

/** What `layerId` was made of. */
export function partsOfLayerId(id: string): { snapshotter: string; key: string } {
  const space = id.indexOf(" ");
  return { snapshotter: id.slice(0, space), key: id.slice(space + 1) };
}

interface Known {
  use: LayerUse;
  /** `performance.now()` from when on it is to be looked at again; never while it is being looked at. */
  nextAt: number;
}

/** A look that takes long comes so seldom that it takes this part of the time at most. */
const shareOfTime = 1 / 20;

export interface LayerOptions {
  /** Counts the layer's files, which takes as long as there are many. @throws NotFound for one that is gone */
  readonly look: (id: string) => Promise<Omit<LayerUse, "at">>;
  /** ms that a look may be old. */
  readonly period: number;
  readonly now: () => Nanoseconds;
  readonly onError: (error: HullError, id: string) => void;
}

/**
 * The disk use of layers, looked at when somebody asks and the last look is old: one layer after the other, so that many of them cost no more
 * at once than one. Whoever asks gets what is known, and only for what was never looked at waits a moment.
 */
export class Layers {
  readonly #known = new Map<string, Known>();
  readonly #queue = new Set<string>();
  readonly #options: LayerOptions;
  #working: Promise<void> | undefined;

  constructor(options: LayerOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#known.size;
  }

  /** What is known of a layer. `at` is 0 if that is nothing. */
  of(id: string): LayerUse {
    return this.#known.get(id)?.use ?? unseen;
  }

  /** Sees to it that these are looked at, and waits so many ms at most for those that never were. */
  async ask(ids: Iterable<string>, patience: number): Promise<void> {
    const now = performance.now();
    let isNew = false;
    for (const id of ids) {
      const known = this.#known.get(id);
      if (known === undefined) this.#known.set(id, { use: unseen, nextAt: 0 });
      if (now >= (known?.nextAt ?? 0)) this.#queue.add(id);
      const isUnderWay = this.#queue.has(id) || known?.nextAt === Number.POSITIVE_INFINITY;
      isNew ||= isUnderWay && (known?.use ?? unseen).at === 0n;
    }
    if (this.#queue.size === 0 && !isNew) return;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
    if (isNew) await within(this.#working, patience);
  }

  async #work(): Promise<void> {
    for (const id of this.#queue) {
      const began = performance.now();
      const known = this.#known.get(id);
      this.#queue.delete(id);
      if (known === undefined) continue;
      known.nextAt = Number.POSITIVE_INFINITY;
      try {
        known.use = { ...(await this.#options.look(id)), at: this.#options.now() };
      } catch (error) {
        const cause = HullError.from(error);
        if (cause.code === "notFound") this.forget(id);
        else this.#options.onError(cause, id);
      }
      const now = performance.now();
      known.nextAt = now + Math.max(this.#options.period, (now - began) / shareOfTime);
    }
  }

  /** To be called for one that is gone. */
  forget(id: string): void {
    this.#known.delete(id);
  }
}

/** Waits for something, but not longer than so many ms. */
async function within(work: Promise<void>, patience: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, patience);
  await Promise.race([work, late.promise]);
  clearTimeout(timer);
}
