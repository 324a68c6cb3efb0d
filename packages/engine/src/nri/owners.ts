import { Field, type FieldOwners, OwningPlugins } from "@hull/api/gen/nri/v1alpha1/nri";
import { invalidArgument } from "@hull/errors";

const fieldNames: ReadonlyMap<number, string> = new Map(Object.entries(Field).map(([name, value]) => [value, name]));

/** A name that begins with "-" asks for the removal of what is called so. */
export const removal = (name: string): string => `-${name}`;

/** The name without its mark, and whether it had one. */
export function parseRemoval(name: string): { name: string; removed: boolean } {
  return name.startsWith("-") ? { name: name.slice(1), removed: true } : { name, removed: false };
}

/**
 * Which plugin set what of which container. What one plugin has set no other may set, unless it removes it first; of what is removed
 * that plugin alone may set it anew.
 */
export class Owners {
  readonly #owners = new Map<string, FieldOwners>();

  /** @throws InvalidArgument naming both plugins and the field, in containerd's words */
  claim(container: string, plugin: string, field: Field, key?: string): void {
    const names = this.#names(container, field, key);
    const other = names[key ?? field];
    if (other !== undefined) {
      const { name, removed } = parseRemoval(other);
      if (!removed || name !== plugin)
        throw invalidArgument(
          `plugins "${plugin}" and "${name}" both tried to set ${fieldNames.get(field) ?? field} ${key ?? ""}`,
        );
    }
    names[key ?? field] = plugin;
  }

  /** Notes that a plugin removed what others set. */
  clear(container: string, plugin: string, field: Field, key?: string): void {
    this.#names(container, field, key)[key ?? field] = removal(plugin);
  }

  /** Notes one of several plugins that add to a field. */
  add(container: string, plugin: string, field: Field): void {
    const names = this.#names(container, field);
    const others = names[field];
    names[field] = others === undefined ? plugin : `${others},${plugin}`;
  }

  message(): OwningPlugins {
    return OwningPlugins.fromPartial({ owners: Object.fromEntries(this.#owners) });
  }

  #names(container: string, field: Field, key?: string): Record<string | number, string> {
    let fields = this.#owners.get(container);
    if (fields === undefined) {
      fields = { simple: {}, compound: {} };
      this.#owners.set(container, fields);
    }
    if (key === undefined) return fields.simple;
    fields.compound[field] ??= { owners: Object.create(null) as Record<string, string> };
    return fields.compound[field].owners;
  }
}
