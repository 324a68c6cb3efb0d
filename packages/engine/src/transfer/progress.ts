import type { Descriptor } from "@hull/oci/descriptor";
import { ingestRef } from "@hull/oci/media-types";
import type { ProgressListener } from "./index.ts";

/** ms between two reports of bytes of the same blob. */
const interval = 100;

interface Throttle {
  /** When bytes of the blob were last told of. */
  told: number;
  /** Tells of the newest count, if none comes that does: a transfer that stalls shows how far it got. */
  timer?: ReturnType<typeof setTimeout>;
}

/** Tells a listener of steps at once, of bytes no more often than it can use them. */
export class ProgressReporter implements Disposable {
  readonly #listener: ProgressListener | undefined;
  readonly #nameOf: (descriptor: Descriptor) => string;
  readonly #throttles = new Map<string, Throttle>();

  /** @param nameOf what a blob is called; by default as the ingest that fetches it */
  constructor(listener: ProgressListener | undefined, nameOf: (descriptor: Descriptor) => string = ingestRef) {
    this.#listener = listener;
    this.#nameOf = nameOf;
  }

  /** A step that isn't about one blob. */
  step(event: string, name: string): void {
    this.#listener?.({ event, name });
  }

  /** A blob's state has changed. `bytes` is what of it is done: all of it by default for what is complete. */
  state(event: string, descriptor: Descriptor, bytes = 0, parents?: readonly string[]): void {
    this.#forget(descriptor.digest);
    this.#send(event, descriptor, bytes, parents);
  }

  /** So many bytes of a blob are done in all. */
  bytes(event: string, descriptor: Descriptor, bytes: number): void {
    if (this.#listener === undefined) return;
    const now = performance.now();
    const told = this.#throttles.get(descriptor.digest)?.told ?? Number.NEGATIVE_INFINITY;
    const left = interval - (now - told);
    this.#forget(descriptor.digest);
    if (left <= 0) {
      this.#throttles.set(descriptor.digest, { told: now });
      this.#send(event, descriptor, bytes);
      return;
    }
    const timer = setTimeout(() => {
      this.#throttles.set(descriptor.digest, { told: performance.now() });
      this.#send(event, descriptor, bytes);
    }, left);
    timer.unref();
    this.#throttles.set(descriptor.digest, { told, timer });
  }

  /** Nothing is told afterwards that has not been told. */
  [Symbol.dispose](): void {
    for (const digest of this.#throttles.keys()) this.#forget(digest);
  }

  #forget(digest: string): void {
    clearTimeout(this.#throttles.get(digest)?.timer);
    this.#throttles.delete(digest);
  }

  #send(event: string, descriptor: Descriptor, bytes: number, parents?: readonly string[]): void {
    this.#listener?.({
      event,
      name: this.#nameOf(descriptor),
      descriptor,
      progress: bytes,
      total: descriptor.size,
      ...(parents === undefined ? {} : { parents }),
    });
  }
}
