import { ContainerUpdate, type LinuxResources } from "@hull/api/gen/nri/v1alpha1/nri";
import { invalidArgument } from "@hull/errors";
import { mergeResources, noResources } from "./merge-resources.ts";
import type { Owners } from "./owners.ts";

/** What several plugins want of containers that are there already, as one update for each container. */
export class Updates {
  readonly #owners: Owners;
  readonly #created: string | undefined;
  readonly #requested: { id: string; resources: LinuxResources } | undefined;
  readonly #updates = new Map<string, ContainerUpdate>();

  /** `created` is the container that is being made; `requested` the one that is being updated, and what to. */
  constructor(
    owners: Owners,
    { created, requested }: { created?: string; requested?: { id: string; resources: LinuxResources } } = {},
  ) {
    this.#owners = owners;
    this.#created = created;
    this.#requested = requested === undefined ? undefined : { ...requested };
  }

  /** What the container that is being updated is to have, with what plugins changed so far. */
  get resources(): LinuxResources | undefined {
    return this.#requested?.resources;
  }

  /** @throws InvalidArgument if plugins want different things of the same, and the update may not fail */
  apply(updates: readonly ContainerUpdate[], plugin: string): void {
    for (const update of updates) {
      const id = update.containerId;
      if (id === this.#created) throw invalidArgument(`plugin "${plugin}" asked update of "${id}" during creation`);
      const merged = this.#merged(update);
      const wanted = update.linux?.resources;
      if (wanted === undefined) continue;
      const requested = this.#requested?.id === id ? this.#requested : undefined;
      const base = requested?.resources ?? merged.linux?.resources ?? noResources();
      try {
        const resources = mergeResources(base, wanted, { owners: this.#owners, container: id, plugin });
        merged.linux = { resources };
        if (requested !== undefined) requested.resources = resources;
      } catch (error) {
        if (!update.ignoreFailure) throw error;
      }
    }
  }

  /** The updates; the one of the container that is being updated comes last. */
  all(): ContainerUpdate[] {
    const own = this.#requested?.id;
    return [...this.#updates.values()].sort((a, b) => Number(a.containerId === own) - Number(b.containerId === own));
  }

  #merged({ containerId, ignoreFailure }: ContainerUpdate): ContainerUpdate {
    const known = this.#updates.get(containerId);
    if (known !== undefined) {
      known.ignoreFailure &&= ignoreFailure;
      return known;
    }
    const linux = { resources: noResources() };
    const update = ContainerUpdate.fromPartial({ containerId, ignoreFailure, linux });
    this.#updates.set(containerId, update);
    return update;
  }
}
