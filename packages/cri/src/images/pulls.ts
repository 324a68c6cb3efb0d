import type { Context } from "@hull/engine/context";
import type { Image } from "@hull/engine/images/index";
import type { Labels } from "@hull/engine/labels";
import type { Logger } from "@hull/engine/log";
import { type CredentialsProvider, openRegistry, type Registry } from "@hull/engine/registry/index";
import type { Transfer } from "@hull/engine/transfer/index";
import { Slots } from "@hull/engine/transfer/locks";
import { type Code, HullError } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import type { CriImagesConfig } from "../config.ts";
import { PullProgress, type PullState } from "./pull-progress.ts";
import type { Registries } from "./registries.ts";

export interface PullsOptions {
  readonly transfer: Pick<Transfer, "pull">;
  readonly registries: Registries;
  readonly config: Pick<
    CriImagesConfig,
    | "max_concurrent_downloads"
    | "max_concurrent_pulls"
    | "concurrent_layer_fetch_buffer"
    | "image_pull_progress_timeout"
    | "image_pull_with_sync_fs"
    | "discard_unpacked_layers"
  >;
  /** Told of each phase of a pull, and once a second of its bytes. */
  readonly tell: (state: PullState) => void;
  readonly log: Logger;
}

export interface PullJob {
  /** Complete. */
  readonly reference: string;
  readonly snapshotter: string;
  readonly platform: Platform;
  readonly labels: Labels;
  readonly credentials: CredentialsProvider;
  /** The same for those who may share what comes: whoever has other credentials asks the registry on its own. */
  readonly identity: string;
}

interface Shared {
  readonly result: Promise<Image>;
  readonly abort: AbortController;
  callers: number;
}

/** Codes that mean to a client what they say; all other failures have none, as containerd's. */
const told: ReadonlySet<Code> = new Set<Code>(["notFound", "canceled", "deadlineExceeded", "resourceExhausted"]);

/** Below this, parts cost more than they bring: containerd fetches by one connection. */
const smallestPart = 512;

/** Pulls, shared by all who want the same at the same time, and no more side by side than the node is to take. */
export class Pulls {
  readonly #options: PullsOptions;
  readonly #slots: Slots;
  readonly #shared = new Map<string, Shared>();
  readonly #running = new Set<PullProgress>();

  constructor(options: PullsOptions) {
    this.#options = options;
    this.#slots = new Slots(options.config.max_concurrent_pulls || Number.MAX_SAFE_INTEGER);
  }

  /** Those under way, in the order in which they began. */
  get states(): PullState[] {
    return [...this.#running].map(({ state }) => state);
  }

  /**
   * Pulls and unpacks. Goes on as long as one of those who asked for the same waits.
   * @throws in containerd's words; NotFound; Canceled also if the registry sends nothing any more; Unknown for what else fails
   */
  async pull(ctx: Context, job: PullJob): Promise<Image> {
    ctx.signal.throwIfAborted();
    const key = JSON.stringify([job.reference, job.snapshotter, job.platform, job.identity]);
    const shared = this.#shared.get(key) ?? this.#begin(ctx, key, job);
    shared.callers++;
    const { promise: left, reject } = Promise.withResolvers<never>();
    const leave = () => reject(HullError.from(ctx.signal.reason));
    ctx.signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([shared.result, left]);
    } finally {
      ctx.signal.removeEventListener("abort", leave);
      shared.callers--;
      if (shared.callers === 0 && ctx.signal.aborted) {
        // The next one begins anew rather than share what is being given up.
        if (this.#shared.get(key) === shared) this.#shared.delete(key);
        shared.abort.abort(HullError.from(ctx.signal.reason));
      }
    }
  }

  #begin(ctx: Context, key: string, job: PullJob): Shared {
    const abort = new AbortController();
    const result = this.#run({ ...ctx, signal: abort.signal }, job, abort);
    // Whoever waited may have left.
    result.catch(() => undefined);
    const shared: Shared = { result, abort, callers: 0 };
    this.#shared.set(key, shared);
    const forget = () => {
      if (this.#shared.get(key) === shared) this.#shared.delete(key);
    };
    result.then(forget, forget);
    return shared;
  }

  async #run(ctx: Context, job: PullJob, abort: AbortController): Promise<Image> {
    const { config, log, transfer, tell } = this.#options;
    const timeout = config.image_pull_progress_timeout;
    const { reference } = job;
    const progress = new PullProgress(reference, {
      timeout,
      tell,
      stalled: () => {
        log.log("error", "Gave up a pull: its registry sends nothing", { image: reference, after: `${timeout} ms` });
        const text = `nothing came from the registry for ${timeout} ms (image_pull_progress_timeout)`;
        abort.abort(new HullError("canceled", text));
      },
    });
    this.#running.add(progress);
    try {
      using _slot = await this.#slots.acquire(ctx.signal);
      const image = await transfer.pull(ctx, this.#registry(job), reference, {
        platforms: [job.platform],
        unpack: { snapshotter: job.snapshotter, syncFs: config.image_pull_with_sync_fs },
        labels: job.labels,
        discardLayers: config.discard_unpacked_layers,
        ...(config.max_concurrent_downloads === 0 ? {} : { maxConcurrentDownloads: config.max_concurrent_downloads }),
        progress: progress.take,
      });
      progress.end();
      return image;
    } catch (thrown) {
      const error = pullError(reference, thrown);
      progress.end(error.message);
      throw error;
    } finally {
      this.#running.delete(progress);
    }
  }

  #registry({ credentials }: PullJob): Registry {
    const { registries, config } = this.#options;
    const piece = config.concurrent_layer_fetch_buffer;
    const registry = openRegistry({
      hosts: registries.hosts,
      headers: registries.headers,
      credentials,
      ...(piece < smallestPart ? {} : { pieces: { piece, connections: config.max_concurrent_downloads || 3 } }),
    });
    return {
      ...registry,
      async resolve(reference, signal, first) {
        try {
          return await registry.resolve(reference, signal, first);
        } catch (thrown) {
          const error = HullError.from(thrown);
          const detail = error.code === "notFound" ? reference : error.message;
          throw new HullError(error.code, `failed to resolve reference ${JSON.stringify(reference)}: ${detail}`, {
            cause: error,
          });
        }
      },
    };
  }
}

function pullError(reference: string, thrown: unknown): HullError {
  const { code, message } = HullError.from(thrown);
  const text = `failed to pull and unpack image ${JSON.stringify(reference)}: ${message}`;
  return new HullError(told.has(code) ? code : "unknown", text, { cause: thrown });
}
