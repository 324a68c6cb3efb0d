/** How many streams are remembered: those whose frames may still be under way. */
const most = 1024;

/** The streams that we took back lately: what the peer sent of them before it knew is passed over (RFC 9113, section 5.1). */
export class ResetStreams {
  readonly #ids = new Set<number>();

  add(streamId: number): void {
    this.#ids.add(streamId);
    if (this.#ids.size <= most) return;
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      return;
    }
  }

  has(streamId: number): boolean {
    return this.#ids.has(streamId);
  }
}
