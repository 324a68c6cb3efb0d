import { nowNanos } from "@hull/api/timestamp";
import { contextFor } from "@hull/engine/context";
import type { Nanoseconds } from "@hull/engine/labels";
import type { Logger } from "@hull/engine/log";
import type { Snapshotter, Usage } from "@hull/engine/snapshots/index";
import { HullError, isCode, notFound } from "@hull/errors";
import { criNamespace } from "../model.ts";
import { Layers } from "../stats/layers.ts";

/** What the snapshots of one snapshotter take, as of a time. */
export interface SnapshotterUse extends Usage {
  readonly at: Nanoseconds;
}

/** ms in which those who ask get the same answer: listing the snapshots costs little, but not nothing. */
const shared = 1000;

/** ms that a call waits for layers that were never looked at. */
const patience = 500;

/**
 * What the snapshots of namespace `k8s.io` take on disk. Nothing runs when nobody asks. What committed snapshots take was measured when
 * they were committed; what layers take that containers write to may be as old as the period, and is looked at for one after the other
 * (`stats/layers.ts`).
 */
export class DiskUse {
  readonly #ctx = contextFor(criNamespace);
  readonly #snapshotters: ReadonlyMap<string, Snapshotter>;
  readonly #period: number;
  readonly #layers: Layers;
  readonly #committed = new Map<string, Map<string, Usage>>();
  readonly #answers = new Map<string, { readonly use: Promise<SnapshotterUse>; readonly until: number }>();

  /** @param period ms */
  constructor(snapshotters: ReadonlyMap<string, Snapshotter>, { period, log }: { period: number; log: Logger }) {
    this.#snapshotters = snapshotters;
    this.#period = period;
    this.#layers = new Layers({
      period,
      now: nowNanos,
      look: async (id) => {
        const { snapshotter, key } = partsOf(id);
        const { size, inodes } = await this.#get(snapshotter).usage(this.#ctx, key);
        return { bytes: BigInt(size), inodes: BigInt(inodes) };
      },
      onError: ({ message }, id) =>
        log.log("warn", "The use of disk by a snapshot isn't known", { ...partsOf(id), error: message }),
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

  /** What the layer of one container takes. @throws NotFound if it is gone */
  async ofLayer(snapshotter: string, key: string): Promise<Usage> {
    const id = idOf(snapshotter, key);
    await this.#layers.ask([id], 60_000);
    const { at, bytes, inodes } = this.#layers.of(id);
    if (at === 0n) throw notFound(`snapshot "${key}"`);
    return { size: Number(bytes), inodes: Number(inodes) };
  }

  async #sum(name: string): Promise<SnapshotterUse> {
    const snapshotter = this.#get(name);
    const sum = { size: 0, inodes: 0 };
    const add = ({ size, inodes }: Usage): void => {
      sum.size += size;
      sum.inodes += inodes;
    };
    const before = this.#committed.get(name);
    const committed = new Map<string, Usage>();
    const active = new Set<string>();
    for await (const { name: key, kind } of snapshotter.walk(this.#ctx)) {
      if (kind === "active") active.add(idOf(name, key));
      else if (kind === "committed") {
        const usage = before?.get(key) ?? (await usageOf(snapshotter, this.#ctx, key));
        committed.set(key, usage);
        add(usage);
      }
    }
    this.#committed.set(name, committed);
    this.#layers.keep({ has: (id) => active.has(id) || partsOf(id).snapshotter !== name });
    await this.#layers.ask(active, patience);
    let at = nowNanos();
    for (const id of active) {
      const layer = this.#layers.of(id);
      if (layer.at === 0n) continue;
      add({ size: Number(layer.bytes), inodes: Number(layer.inodes) });
      if (layer.at < at) at = layer.at;
    }
    return { ...sum, at };
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

/** Names of snapshotters have no space. */
const idOf = (snapshotter: string, key: string): string => `${snapshotter} ${key}`;

function partsOf(id: string): { snapshotter: string; key: string } {
  const space = id.indexOf(" ");
  return { snapshotter: id.slice(0, space), key: id.slice(space + 1) };
}
