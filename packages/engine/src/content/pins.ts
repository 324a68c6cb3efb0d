/** Blobs that the collector leaves alone for as long as anybody has them pinned. */
export class Pins {
  readonly #counts = new Map<string, number>();

  has(digest: string): boolean {
    return this.#counts.has(digest);
  }

  /** Keeps the blob until disposed. */
  pin(digest: string): Disposable {
    this.#counts.set(digest, (this.#counts.get(digest) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#counts.get(digest) ?? 1) - 1;
        if (left === 0) this.#counts.delete(digest);
        else this.#counts.set(digest, left);
      },
    };
  }
}
