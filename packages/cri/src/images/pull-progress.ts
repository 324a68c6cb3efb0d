import type { Progress } from "@hull/engine/transfer/index";

/** How far a pull is. */
export interface PullState {
  /** As it was completed: `docker.io/library/busybox:latest`. */
  readonly reference: string;
  /** `waiting` for other pulls to end. */
  readonly phase: "waiting" | "resolving" | "pulling" | "done" | "failed";
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Bytes that have come of those that have to, as far as they are known. */
  readonly fetched: number;
  readonly total: number;
  /** Bytes that the registry has sent in this pull: those that were here before aren't among them. */
  readonly received: number;
  /** Layers that are unpacked, of those that are known. */
  readonly unpacked: number;
  readonly layers: number;
  /** Why it failed. */
  readonly error?: string;
}

interface Blob {
  /** Bytes that are here, and that there will be. */
  done: number;
  total: number;
  isLayer: boolean;
  unpacked: boolean;
}

/** ms between two times that others are told of bytes. */
const tellEvery = 1000;

/**
 * Follows one pull: what it has done, and whether its registry still sends. While something is asked of the registry, each byte that comes
 * puts the end off by `timeout` milliseconds; then `stalled` is called. Phases are told at once, what comes in between once a second.
 */
export class PullProgress implements Disposable {
  readonly #reference: string;
  readonly #startedAt = Date.now();
  readonly #timeout: number;
  readonly #stalled: () => void;
  readonly #tell: (state: PullState) => void;
  readonly #blobs = new Map<string, Blob>();
  /** What the registry owes an answer for. */
  readonly #asked = new Set<string>();
  #phase: PullState["phase"] = "waiting";
  #error: string | undefined;
  #lastByte = 0;
  #lastTold = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #received = 0;

  constructor(
    reference: string,
    { timeout, stalled, tell }: { timeout: number; stalled: () => void; tell: (state: PullState) => void },
  ) {
    this.#reference = reference;
    this.#timeout = timeout;
    this.#stalled = stalled;
    this.#tell = tell;
    this.#enter("waiting");
  }

  get state(): PullState {
    const blobs = [...this.#blobs.values()];
    const layers = blobs.filter(({ isLayer }) => isLayer);
    return {
      reference: this.#reference,
      phase: this.#phase,
      startedAt: this.#startedAt,
      fetched: blobs.reduce((sum, { done }) => sum + done, 0),
      total: blobs.reduce((sum, { total }) => sum + total, 0),
      received: this.#received,
      unpacked: layers.filter(({ unpacked }) => unpacked).length,
      layers: layers.length,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  /** Takes what the transfer tells. */
  readonly take = (progress: Progress): void => {
    const { event, name } = progress;
    if (event === "resolving") {
      this.#ask(name);
      this.#enter("resolving");
    } else if (event === "resolved") {
      this.#asked.delete(name);
      this.#enter("pulling");
    }
    this.#takeBlob(progress);
    if (performance.now() - this.#lastTold >= tellEvery) this.#tellNow();
  };

  end(error?: string): void {
    this.#error = error;
    this.#enter(error === undefined ? "done" : "failed");
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#asked.clear();
  }

  #enter(phase: PullState["phase"]): void {
    this.#phase = phase;
    this.#tellNow();
  }

  #tellNow(): void {
    this.#lastTold = performance.now();
    this.#tell(this.state);
  }

  #takeBlob({ event, name, descriptor, progress = 0, total = 0 }: Progress): void {
    if (descriptor === undefined) return;
    const blob = this.#blobs.get(name) ?? { done: 0, total, isLayer: name.startsWith("layer-"), unpacked: false };
    this.#blobs.set(name, blob);
    switch (event) {
      case "downloading":
        // The first one tells what is here from an earlier try.
        if (this.#asked.has(name)) this.#received += Math.max(0, progress - blob.done);
        if (!this.#asked.has(name) || progress > blob.done) this.#ask(name);
        blob.done = progress;
        if (progress === total) this.#asked.delete(name);
        break;
      case "complete":
        if (this.#asked.has(name)) this.#received += Math.max(0, total - blob.done);
        blob.done = total;
        this.#asked.delete(name);
        break;
      case "already exists":
        blob.done = total;
        break;
      case "extracted":
        blob.unpacked = true;
        break;
    }
  }

  #ask(name: string): void {
    this.#asked.add(name);
    this.#lastByte = performance.now();
    if (this.#timeout > 0 && this.#timer === undefined) this.#watch(this.#timeout);
  }

  /** One timer that looks when the last byte came, rather than one that each byte starts anew. */
  #watch(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#asked.size === 0) return;
      const left = this.#timeout - (performance.now() - this.#lastByte);
      if (left > 0) this.#watch(left);
      else this.#stalled();
    }, milliseconds);
    this.#timer.unref();
  }
}
