import { SnapshotRemove } from "@hull/api/gen/containerd/events/snapshot";
import { nowNanos } from "@hull/api/timestamp";
import { contextFor } from "@hull/engine/context";
import type { EventExchange } from "@hull/engine/events/index";
import type { Nanoseconds } from "@hull/engine/labels";
import type { Logger } from "@hull/engine/log";
import type { Snapshotter, Usage } from "@hull/engine/snapshots/index";
import { HullError, isCode, notFound } from "@hull/errors";
import { criNamespace } from "../model.ts";
import { Layers, layerId, partsOfLayerId } from "../stats/layers.ts";

/** What the snapshots of one snapshotter take, as of a time. */
export interface SnapshotterUse extends Usage {
  readonly at: Nanoseconds;
}

/** ms in which those who ask get the same answer: summing up costs little, but not nothing. */
const shared = 1000;

/** ms that a call waits for layers that were never looked at. */
const patience = 500;

/** ms after which the snapshots are listed anew, for those that come without an event: layers that a snapshotter had already. */
const listed = 60_000;

/** The snapshots of a snapshotter as they were listed. */
interface Listing {
  /** What committed ones take: it never changes. */
  readonly committed: ReadonlyMap<string, Usage>;
  readonly sum: Usage;
  /** `layerId` of those that containers write to. */
  readonly active: readonly string[];
  readonly until: number;
}

export interface DiskUseOptions {
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  /** ms that a look at a layer may be old. */
  readonly period: number;
  readonly events: Pick<EventExchange, "observe">;
  readonly log: Logger;
}

/**
 * What the snapshots of namespace `k8s.io` take on disk. Nothing runs when nobody asks. What committed snapshots take was measured when
 * they were committed; what layers take that containers write to may be as old as the period, and is looked at for one after the other
 * (`stats/layers.ts`).
 */
export class DiskUse implements Disposable {
  /** By `layerId`. */
  readonly layers: Layers;
  readonly #ctx = contextFor(criNamespace);
  readonly #snapshotters: ReadonlyMap<string, Snapshotter>;
  readonly #period: number;
  readonly #listings = new Map<string, Listing>();
  readonly #changed = new Set<string>();
  readonly #answers = new Map<string, { readonly use: Promise<SnapshotterUse>; readonly until: number }>();
  readonly #stopObserving: () => void;

  constructor({ snapshotters, period, events, log }: DiskUseOptions) {
    this.#snapshotters = snapshotters;
    this.#period = period;
    this.layers = new Layers({
      period,
      now: nowNanos,
      look: async (id) => {
        const { snapshotter, key } = partsOfLayerId(id);
        const { size, inodes } = await this.#get(snapshotter).usage(this.#ctx, key);
        return { bytes: BigInt(size), inodes: BigInt(inodes) };
      },
      onError: ({ message }, id) =>
        log.log("warn", "The use of disk by a snapshot isn't known", { ...partsOfLayerId(id), error: message }),
    });
    this.#stopObserving = events.observe(({ namespace, topic, event }) => {
      if (namespace !== criNamespace || !topic.startsWith("/snapshot/")) return;
      for (const name of this.#snapshotters.keys()) this.#changed.add(name);
      if (topic !== "/snapshot/remove") return;
      const { snapshotter, key } = SnapshotRemove.decode(event.value);
      this.layers.forget(layerId(snapshotter, key));
    });
  }

  /** What all snapshots of a snapshotter take. @throws NotFound if there is no such snapshotter */
  total(snapshotter: string): Promise<SnapshotterUse> {
    const known = this.#answers.get(snapshotter);
    if (known !== undefined && performance.now() < known.until) return known.use;
    const use = this.#sum(snapshotter);
    this.#answers.set(snapshotter, { use, until: performance.now() + Math.min(this.#period, shared) });
    use.catch(() => this.#answers.delete(snapshotter));
    return use;
  }

  [Symbol.dispose](): void {
    this.#stopObserving();
  }

  async #sum(name: string): Promise<SnapshotterUse> {
    const { sum, active } = await this.#list(name);
    await this.layers.ask(active, patience);
    let { size, inodes } = sum;
    let at = nowNanos();
    for (const id of active) {
      const layer = this.layers.of(id);
      if (layer.at === 0n) continue;
      size += Number(layer.bytes);
      inodes += Number(layer.inodes);
      if (layer.at < at) at = layer.at;
    }
    return { size, inodes, at };
  }

  /** The snapshots there are, listed anew only if some may have come or gone. */
  async #list(name: string): Promise<Listing> {
    const before = this.#listings.get(name);
    if (before !== undefined && performance.now() < before.until && !this.#changed.has(name)) return before;
    // Of what changes from here on, a part may be missing below.
    this.#changed.delete(name);
    const snapshotter = this.#get(name);
    const sum = { size: 0, inodes: 0 };
    const committed = new Map<string, Usage>();
    const active: string[] = [];
    for await (const { name: key, kind } of snapshotter.walk(this.#ctx)) {
      if (kind === "active") active.push(layerId(name, key));
      if (kind !== "committed") continue;
      const usage = before?.committed.get(key) ?? (await usageOf(snapshotter, this.#ctx, key));
      committed.set(key, usage);
      sum.size += usage.size;
      sum.inodes += usage.inodes;
    }
    const listing = { committed, sum, active, until: performance.now() + listed };
    this.#listings.set(name, listing);
    return listing;
  }

  #get(name: string): Snapshotter {
    const snapshotter = this.#snapshotters.get(name);
    if (snapshotter === undefined) throw notFound(`snapshotter "${name}"`);
    return snapshotter;
  }
}

async function usageOf(...[snapshotter, ctx, key]: [Snapshotter, ...Parameters<Snapshotter["usage"]>]): Promise<Usage> {
  try {
    return await snapshotter.usage(ctx, key);
  } catch (error) {
    if (isCode(error, "notFound")) return { size: 0, inodes: 0 };
    throw HullError.from(error);
  }
}
