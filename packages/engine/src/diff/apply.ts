import { closeSync, constants, fstatSync, mkdtempSync, openSync, rmdirSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { HullError, internal, invalidArgument } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { startProgram } from "@hull/sys/program";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import { lastWords } from "../last-words.ts";
import type { Mount } from "../mount/index.ts";
import type { MountManager } from "../mount/manager/index.ts";
import { lendMounts } from "../mount/manager/lend.ts";
import type { Applier, ApplyOptions } from "./index.ts";
import { uncompressedLayer } from "./media-types.ts";
import type { Outcome } from "./outcome.ts";
import { processorsFor, type RunningProcessors, type StreamProcessor, startProcessors } from "./processors.ts";
import { Slots } from "./slots.ts";
import { type DirectTarget, directTarget } from "./target.ts";
import { parseLine, toArguments, type UnpackRequest } from "./unpacker/protocol.ts";

/** What an `UnpackerApplier` works with. */
export interface UnpackerOptions {
  readonly content: Pick<ContentStore, "path">;
  /** The command that is the unpacker (see `unpacker/main.ts`); its options are put behind. */
  readonly command: readonly string[];
  /** Layers that are unpacked at the same time; others wait. Default: one for each processor. */
  readonly concurrency?: number;
  /** Directory for temporary mount points. Default: the system's. */
  readonly temporary?: string;
  /** Programs for layers of other types than the usual ones. */
  readonly processors?: readonly StreamProcessor[];
  /** For mounts that the system alone can't do. */
  readonly mounts?: MountManager;
}

/** Most of the unpacker's standard error that a message quotes, in characters. */
const quotedError = 2000;

/** Applies each layer in an unpacker process of its own, as many at a time as there are processors. */
export class UnpackerApplier implements Applier {
  readonly #content: Pick<ContentStore, "path">;
  readonly #command: readonly string[];
  readonly #slots: Slots;
  readonly #temporary: string;
  readonly #processors: readonly StreamProcessor[];
  readonly #mounts: MountManager | undefined;

  constructor({
    content,
    command,
    concurrency = availableParallelism(),
    temporary = tmpdir(),
    processors = [],
    mounts,
  }: UnpackerOptions) {
    this.#content = content;
    this.#mounts = mounts;
    this.#processors = processors;
    this.#command = command;
    this.#slots = new Slots(concurrency);
    this.#temporary = temporary;
  }

  async apply(
    ctx: Context,
    descriptor: Descriptor,
    mounts: readonly Mount[],
    options: ApplyOptions = {},
  ): Promise<Descriptor> {
    const { digest, mediaType } = descriptor;
    const chain = processorsFor(mediaType, this.#processors);
    const path = await this.#content.path(ctx, digest);
    using _ = await this.#slots.take(ctx.signal);
    using scope = new DisposableStack();
    const blob = openSync(path, constants.O_RDONLY);
    scope.defer(() => closeSync(blob));
    requireSize(descriptor, fstatSync(blob).size);
    await using lent = await lendMounts(this.#mounts, ctx, mounts);
    using mounted = new DisposableStack();
    const target = directTarget(lent.mounts, options.rebase ?? false) ?? this.#mount(lent.mounts, mounted);
    const request = { ...target, sync: options.syncFs ?? false };
    await using processed = startProcessors(chain, blob, options.payloads ?? {});
    const outcome = await this.#run(ctx, processed, request, options.progress);
    // Bytes that a processor fell silent over are damaged to the unpacker: its own words say more.
    if (!("error" in outcome) || chain.length > 0) await processed.finished();
    if ("error" in outcome) {
      throw new HullError(outcome.error.code, `layer "${digest}" can't be unpacked: ${outcome.error.message}`);
    }
    return { mediaType: uncompressedLayer, digest: outcome.diffId, size: outcome.size };
  }

  #mount(mounts: readonly Mount[], scope: DisposableStack): DirectTarget {
    const target = mkdtempSync(join(this.#temporary, "hull-apply-"));
    scope.defer(() => rmdirSync(target));
    mountAll(mounts, target);
    scope.defer(() => unmountAll(target));
    return { target, whiteouts: "plain", lower: [] };
  }

  /** Runs an unpacker to its end; when the context is aborted, it is killed first. */
  async #run(
    ctx: Context,
    input: RunningProcessors,
    request: UnpackRequest,
    progress: ((bytes: number) => void) | undefined,
  ): Promise<Outcome> {
    if (ctx.signal.aborted) throw HullError.from(ctx.signal.reason);
    // No environment: nothing in the daemon's is meant for a process that reads strangers' archives.
    const child = startProgram([...this.#command, ...toArguments(request)], {
      stdio: [input.output, "pipe", "pipe"],
      env: {},
    });
    input.release();
    const kill = () => child.kill("SIGKILL");
    ctx.signal.addEventListener("abort", kill);
    try {
      const complaint = lastWords(child.stderr);
      const outcome = await readOutcome(child.stdout, progress);
      await child.exited;
      if (ctx.signal.aborted) throw HullError.from(ctx.signal.reason);
      if (outcome !== undefined) return outcome;
      const how = child.signalCode === null ? `status ${child.exitCode}` : child.signalCode;
      throw internal(`the unpacker ended with ${how} and no result: ${(await complaint).slice(-quotedError)}`);
    } finally {
      ctx.signal.removeEventListener("abort", kill);
      kill();
      await child.exited;
    }
  }
}

/** A descriptor without a size is one that a client made of a digest alone. */
function requireSize({ digest, size }: Descriptor, actual: number): void {
  if (size === 0 || size === actual) return;
  throw invalidArgument(`layer "${digest}" has ${actual} bytes, but its descriptor says a size of ${size}`);
}

async function readOutcome(
  output: ReadableStream<Uint8Array>,
  progress: ((bytes: number) => void) | undefined,
): Promise<Outcome | undefined> {
  const decoder = new TextDecoder();
  let pending = "";
  let outcome: Outcome | undefined;
  for await (const chunk of output) {
    const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) {
      const said = parseLine(line);
      if (said === undefined) continue;
      if ("read" in said) progress?.(said.read);
      else outcome = said;
    }
  }
  return outcome;
}
