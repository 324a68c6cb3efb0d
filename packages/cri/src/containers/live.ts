import type { Mount } from "@hull/engine/mount/index";
import type { ContainerStreams } from "../logs/index.ts";

/** What this process alone knows of a container, beside its record and its run. */
export class Live {
  /** How to mount its root file system, if its snapshot was made in this run. */
  rootfs: readonly Mount[] | undefined;
  /** Once somebody wanted them, while its task is there. */
  streams: ContainerStreams | undefined;
  /** The signal that asks it to stop was sent: a second request waits with the first. */
  asked = false;
  readonly #stopped = Promise.withResolvers<void>();

  /** Resolves once its exit has been dealt with. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  markStopped(): void {
    this.#stopped.resolve();
  }
}

/** By id. */
export class LiveContainers {
  readonly #live = new Map<string, Live>();

  of(id: string): Live {
    const known = this.#live.get(id);
    if (known !== undefined) return known;
    const live = new Live();
    this.#live.set(id, live);
    return live;
  }

  forget(id: string): void {
    this.#live.delete(id);
  }
}
