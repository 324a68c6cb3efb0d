/** What a shim is kept for. */

/** Who is to be in a shim: a task, or a sandbox. */
export interface Tenant {
  /** Path of its bundle, by which it is known. */
  readonly bundle: string;
  /** All of a group, such as a pod, are in one shim. */
  readonly group?: string | undefined;
  /** Groups of one company may be in one shim. */
  readonly company?: string | undefined;
}

/** The tenants of one shim. */
export class Tenants {
  /** Groups by bundle. */
  readonly #tenants = new Map<string, string | undefined>();
  /** How many tenants each group has. */
  readonly #groups = new Map<string, number>();
  #served = 0;

  /** One that is there already stays. */
  add({ bundle, group }: Tenant): void {
    if (this.#tenants.has(bundle)) return;
    this.#tenants.set(bundle, group);
    const others = group === undefined ? undefined : this.#groups.get(group);
    if (group !== undefined) this.#groups.set(group, (others ?? 0) + 1);
    if (others === undefined) this.#served++;
  }

  /** @returns false if there was no such */
  remove(bundle: string): boolean {
    const group = this.#tenants.get(bundle);
    if (!this.#tenants.delete(bundle)) return false;
    if (group === undefined) return true;
    const others = (this.#groups.get(group) ?? 1) - 1;
    if (others === 0) this.#groups.delete(group);
    else this.#groups.set(group, others);
    return true;
  }

  /** The group that a tenant is of. */
  groupOf(bundle: string): string | undefined {
    return this.#tenants.get(bundle);
  }

  hasGroup(group: string): boolean {
    return this.#groups.has(group);
  }

  get groups(): Iterable<string> {
    return this.#groups.keys();
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  get size(): number {
    return this.#tenants.size;
  }

  /** How many groups, and tenants of none, there ever were. */
  get served(): number {
    return this.#served;
  }
}
