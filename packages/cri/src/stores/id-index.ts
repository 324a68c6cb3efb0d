import { unknown } from "@hull/errors";

/** Length of the beginnings by which ids are sorted into buckets. */
const bucketLength = 4;

/** Finds whole ids by their beginnings. */
export class IdIndex {
  readonly #buckets = new Map<string, Set<string>>();

  add(id: string): void {
    const bucket = id.slice(0, bucketLength);
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? new Set()).add(id));
  }

  remove(id: string): void {
    const name = id.slice(0, bucketLength);
    const bucket = this.#buckets.get(name);
    bucket?.delete(id);
    if (bucket?.size === 0) this.#buckets.delete(name);
  }

  /** The id that begins so; undefined if none does. @throws Unknown if several do, or for an empty text (texts as of containerd's index) */
  resolve(prefix: string): string | undefined {
    if (prefix === "") throw unknown("prefix can't be empty");
    let found: string | undefined;
    for (const id of this.#candidates(prefix)) {
      if (!id.startsWith(prefix)) continue;
      if (found !== undefined) throw unknown(`multiple IDs found with provided prefix: ${prefix}`);
      found = id;
    }
    return found;
  }

  *#candidates(prefix: string): Iterable<string> {
    if (prefix.length >= bucketLength) yield* this.#buckets.get(prefix.slice(0, bucketLength)) ?? [];
    else for (const [name, bucket] of this.#buckets) if (name.startsWith(prefix)) yield* bucket;
  }
}
