import { nowNanos } from "@hull/api/timestamp";
import type { Nanoseconds } from "../labels.ts";
import { deprecations } from "./catalogue.ts";

/** Something that is used here and that a later version will not have. */
export interface Warning {
  /** As containerd names it: `io.containerd.deprecation/<name>`. */
  id: string;
  message: string;
  lastOccurrence: Nanoseconds;
}

/** What deprecated things this daemon has met since its start; introspection tells of them. */
export class Warnings {
  readonly #met = new Map<string, Warning>();

  /** Notes that it is used, now. @param name a key of the catalogue */
  emit(name: keyof typeof deprecations): void {
    const id = `io.containerd.deprecation/${name}`;
    this.#met.set(id, { id, message: deprecations[name].message, lastOccurrence: nowNanos() });
  }

  /** Each once. */
  list(): Warning[] {
    return [...this.#met.values()];
  }
}
