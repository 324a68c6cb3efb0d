import type { Descriptor } from "@hull/oci/descriptor";
import { ingestRef } from "@hull/oci/media-types";
import type { ProgressListener } from "./index.ts";

/** ms between two reports of bytes of the same blob. */
const interval = 100;

/** Tells a listener of steps at once, of bytes no more often than it can use them. */
export class ProgressReporter {
  readonly #listener: ProgressListener | undefined;
  readonly #last = new Map<string, number>();

  constructor(listener: ProgressListener | undefined) {
    this.#listener = listener;
  }

  /** A step that isn't about one blob. */
  step(event: string, name: string): void {
    this.#listener?.({ event, name });
  }

  /** A blob's state has changed. `bytes` is what of it is done: all of it by default for what is complete. */
  state(event: string, descriptor: Descriptor, bytes = 0, parents?: readonly string[]): void {
    this.#last.delete(descriptor.digest);
    this.#send(event, descriptor, bytes, parents);
  }

  /** So many bytes of a blob are done in all. */
  bytes(event: string, descriptor: Descriptor, bytes: number): void {
    if (this.#listener === undefined) return;
    const now = performance.now();
    if (now - (this.#last.get(descriptor.digest) ?? Number.NEGATIVE_INFINITY) < interval) return;
    this.#last.set(descriptor.digest, now);
    this.#send(event, descriptor, bytes);
  }

  #send(event: string, descriptor: Descriptor, bytes: number, parents?: readonly string[]): void {
    this.#listener?.({
      event,
      name: ingestRef(descriptor),
      descriptor,
      progress: bytes,
      total: descriptor.size,
      ...(parents === undefined ? {} : { parents }),
    });
  }
}
