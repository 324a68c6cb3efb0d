import { Progress as WireProgress } from "@hull/api/gen/containerd/types/transfer/progress";
import { encodeAny } from "@hull/api/typeurl";
import type { Progress, ProgressListener } from "@hull/engine/transfer/index";
import { HullError } from "@hull/errors";
import type { ServerStream } from "./streaming.ts";
import { toWireDescriptor } from "./wire.ts";

const progressType = "containerd.types.transfer.Progress";

/** Progress on its way to a client. A slow one misses what is in between, never what is last. */
export class ProgressSender {
  readonly #stream: ServerStream;
  readonly #pending = new Map<string, Progress>();
  #sending: Promise<void> | undefined;

  constructor(stream: ServerStream) {
    this.#stream = stream;
  }

  readonly listener: ProgressListener = (progress) => {
    // The order of first mention is kept; what is newer replaces what has not gone out.
    this.#pending.set(progress.name, progress);
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  };

  /** What the transfer as a whole is doing. */
  step(event: string): void {
    this.listener({ event, name: "" });
  }

  async flushed(): Promise<void> {
    await this.#sending;
  }

  async #send(): Promise<void> {
    for (const [name, progress] of this.#pending) {
      this.#pending.delete(name);
      try {
        await this.#stream.send(encodeAny(progressType, WireProgress, toWire(progress)));
      } catch (error) {
        // Nobody looks any more; the transfer itself goes on until it is canceled.
        if (HullError.from(error).code !== "canceled") throw error;
        this.#pending.clear();
      }
    }
  }
}

const toWire = ({ event, name, parents = [], progress = 0, total = 0, descriptor }: Progress): WireProgress => ({
  event,
  name,
  parents: [...parents],
  progress: BigInt(progress),
  total: BigInt(total),
  desc: descriptor === undefined ? undefined : toWireDescriptor(descriptor),
});
