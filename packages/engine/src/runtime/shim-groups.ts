/**
 * Which shim keeps which tasks. Those of a group, such as a pod, share one; so may groups of one company, as many to a shim as whoever comes
 * allows.
 *
 *   enter, found ──► in a shim ──leave──► (gone; with the last one nobody enters the shim any more)
 *
 * A shim is chosen in the moment in which it is asked for, also one that is only being started: however many tasks come side by side, no more
 * shims are started than they need. The fullest that has room is preferred.
 */

import type { Shim } from "./shim.ts";
import { type Tenant, Tenants } from "./shim-tenants.ts";
import { maximumUses } from "./spare-shims.ts";

/** A shim, or one that is being started. */
interface Place {
  readonly tenants: Tenants;
  readonly company: string | undefined;
  readonly shim: Promise<Shim>;
}

/** The shims of groups. */
export class ShimGroups {
  readonly #places = new Map<Tenants, Place>();
  readonly #byGroup = new Map<string, Place>();
  readonly #byCompany = new Map<string, Set<Place>>();

  /**
   * The shim that a tenant is to be in, as its tenant already.
   *
   * @param most how many groups the shim may have, with this one
   * @param start starts one for these tenants
   * @throws what `start` throws
   */
  async enter(tenant: Tenant, most: number, start: (tenants: Tenants) => Promise<Shim>): Promise<Shim> {
    const { group, company } = tenant;
    if (group === undefined) {
      const tenants = new Tenants();
      tenants.add(tenant);
      return await start(tenants);
    }
    const found = this.#byGroup.get(group) ?? this.#withRoom(company, most);
    if (found !== undefined) {
      found.tenants.add(tenant);
      this.#byGroup.set(group, found);
      try {
        return await found.shim;
      } catch {
        // It was started for another. What was wrong may have been that one's alone.
        return await this.enter(tenant, most, start);
      }
    }
    const tenants = new Tenants();
    tenants.add(tenant);
    const place = this.#add({ tenants, company, shim: start(tenants) });
    this.#byGroup.set(group, place);
    try {
      return await place.shim;
    } catch (error) {
      this.close(tenants);
      throw error;
    }
  }

  /** A shim that runs has this tenant. */
  found(shim: Shim, tenant: Tenant): void {
    const { tenants } = shim;
    tenants.add(tenant);
    const { group, company } = tenant;
    if (group === undefined || this.#byGroup.has(group)) return;
    const place = this.#places.get(tenants) ?? this.#add({ tenants, company, shim: Promise.resolve(shim) });
    this.#byGroup.set(group, place);
  }

  /** @returns whether a shim has lost its last tenant by this */
  leave(tenants: Tenants, bundle: string): boolean {
    const group = tenants.groupOf(bundle);
    if (!tenants.remove(bundle)) return false;
    if (group !== undefined && !tenants.hasGroup(group)) this.#forget(group, tenants);
    if (tenants.size > 0) return false;
    this.close(tenants);
    return true;
  }

  /** Nobody enters the shim any more. */
  close(tenants: Tenants): void {
    const place = this.#places.get(tenants);
    if (place === undefined) return;
    this.#places.delete(tenants);
    for (const group of tenants.groups) this.#forget(group, tenants);
    const company = place.company === undefined ? undefined : this.#byCompany.get(place.company);
    company?.delete(place);
    if (place.company !== undefined && company?.size === 0) this.#byCompany.delete(place.company);
  }

  #forget(group: string, tenants: Tenants): void {
    if (this.#byGroup.get(group)?.tenants === tenants) this.#byGroup.delete(group);
  }

  #add(place: Place): Place {
    this.#places.set(place.tenants, place);
    if (place.company === undefined) return place;
    const others = this.#byCompany.get(place.company);
    if (others === undefined) this.#byCompany.set(place.company, new Set([place]));
    else others.add(place);
    // Whoever is to be in it meets the failure of its start.
    void place.shim.then(
      ({ lost }) => lost.then(() => this.close(place.tenants)),
      () => undefined,
    );
    return place;
  }

  #withRoom(company: string | undefined, most: number): Place | undefined {
    const places = company === undefined ? undefined : this.#byCompany.get(company);
    let best: Place | undefined;
    for (const place of places ?? []) {
      const { groupCount, served } = place.tenants;
      if (groupCount >= most || served >= maximumUses) continue;
      if (best === undefined || groupCount > best.tenants.groupCount) best = place;
    }
    return best;
  }
}
