import { failedPrecondition } from "@hull/errors";

/** Names that are taken, each by one id. */
export class Names {
  readonly #ids = new Map<string, string>();

  /** Takes a name for an id; again for the same one is fine. @throws FailedPrecondition, as containerd's, if another has it */
  reserve(name: string, id: string): void {
    const holder = this.#ids.get(name);
    if (holder !== undefined && holder !== id)
      throw failedPrecondition(`name ${JSON.stringify(name)} is reserved for ${JSON.stringify(holder)}`);
    this.#ids.set(name, id);
  }

  /** Gives a name back, if this id has it. */
  release(name: string, id: string): void {
    if (this.#ids.get(name) === id) this.#ids.delete(name);
  }

  /** Who has the name. */
  holder(name: string): string | undefined {
    return this.#ids.get(name);
  }
}
