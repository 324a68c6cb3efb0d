/**
 * Checkpoints of tasks as content: what CRIU writes, as a tar, and the container's spec.
 *
 *   task ──take──► directory ──► blobs         (the directory itself, if the options name one)
 *   blob ──unpack──► directory ──create, start──► task ──forget──► (directory gone)
 *
 * The media types are containerd's: images/mediatypes.go.
 */

import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CheckpointOptions, Options } from "@hull/api/gen/containerd/runc/v1/options";
import { Any } from "@hull/api/gen/google/protobuf/any";
import { isCode, unknown } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import type { ContainerStore } from "../containers/index.ts";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import type { Differ } from "../diff/index.ts";
import type { TypedBytes } from "../labels.ts";
import type { TaskManager } from "./index.ts";

const checkpointType = "application/vnd.containerd.container.criu.checkpoint.criu.tar";
const specType = "application/vnd.containerd.container.checkpoint.config.v1+proto";
/** A checkpoint is packed and unpacked as a layer is. */
const layerType = "application/vnd.oci.image.layer.v1.tar";

/** What `Checkpoints` needs. */
export interface CheckpointsOptions {
  tasks: Pick<TaskManager, "checkpoint" | "get">;
  containers: Pick<ContainerStore, "get">;
  content: Pick<ContentStore, "writer">;
  differ: Differ;
  /** Where checkpoints lie from the creation of a task to its start: a directory of the daemon's state. */
  directory: string;
}

/** See above. */
export class Checkpoints {
  readonly #options: CheckpointsOptions;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
  }

  /**
   * Takes a checkpoint of a task.
   *
   * @param options runc's `CheckpointOptions`; with an image path the checkpoint is left there
   * @returns the blobs of the checkpoint and of the spec, none if it was left in a directory
   * @throws NotFound for the container or its task; Unknown with the runtime's reason
   */
  async take(ctx: Context, id: string, options: TypedBytes | undefined): Promise<Descriptor[]> {
    const { tasks, containers } = this.#options;
    const container = await containers.get(ctx, id);
    await tasks.get(ctx, id);
    const named = isRunc(container.runtime.name)
      ? decoded(options, CheckpointOptions, "CheckpointOptions", `task checkpoint option for ${container.runtime.name}`)
          ?.imagePath
      : "";
    if (named) {
      await tasks.checkpoint(ctx, id, named, options);
      return [];
    }
    const directory = mkdtempSync(join(process.env.XDG_RUNTIME_DIR ?? tmpdir(), "hull-checkpoint-"));
    try {
      await tasks.checkpoint(ctx, id, directory, options);
      return [await this.#pack(ctx, directory), await this.#writeSpec(ctx, directory, container.spec)];
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  async #pack(ctx: Context, directory: string): Promise<Descriptor> {
    const mount = { type: "bind", source: directory, target: "", options: ["rbind", "ro"] };
    const layer = await this.#options.differ.compare(ctx, [], [mount], { mediaType: layerType, ref: directory });
    return { ...layer, mediaType: checkpointType };
  }

  async #writeSpec(ctx: Context, directory: string, spec: TypedBytes): Promise<Descriptor> {
    await using writer = await this.#options.content.writer(ctx, join(directory, "spec"));
    const bytes = Any.encode(spec).finish();
    await writer.write(bytes);
    const digest = writer.digest();
    await writer.commit({ expected: digest }).catch((error: unknown) => {
      // An earlier checkpoint's.
      if (!isCode(error, "alreadyExists")) throw error;
    });
    return { mediaType: specType, digest, size: bytes.length };
  }

  /**
   * Puts the checkpoint that a task is to be made from where its shim can read it.
   *
   * @param options the task's, of which runc's may name a directory with a checkpoint
   * @returns the directory; empty if the task is to be made anew
   */
  async unpack(
    ctx: Context,
    id: string,
    checkpoint: Descriptor | undefined,
    options: TypedBytes | undefined,
  ): Promise<string> {
    const container = await this.#options.containers.get(ctx, id);
    const { name } = container.runtime;
    const named = isRunc(name)
      ? decoded(options, Options, "Options", `task create option for ${name}`)?.criuImagePath
      : "";
    if (named || checkpoint === undefined) return named ?? "";
    if (checkpoint.mediaType !== checkpointType) throw unknown(`unsupported checkpoint type "${checkpoint.mediaType}"`);
    const directory = this.#directoryOf(ctx, id);
    await this.forget(ctx, id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const mount = { type: "bind", source: directory, target: "", options: ["rbind", "rw"] };
    try {
      await this.#options.differ.apply(ctx, { ...checkpoint, mediaType: layerType }, [mount]);
    } catch (error) {
      await this.forget(ctx, id);
      throw error;
    }
    return directory;
  }

  /** The task runs, or is gone: what `unpack` made for it is needed no longer. */
  async forget(ctx: Context, id: string): Promise<void> {
    const directory = this.#directoryOf(ctx, id);
    // Hardly any task has one, and by another thread it takes longer to look; what is in it may be as large as the task's memory.
    if (existsSync(directory)) await rm(directory, { recursive: true, force: true });
  }

  #directoryOf({ namespace }: Context, id: string): string {
    return join(this.#options.directory, namespace, id);
  }
}

function isRunc(runtime: string): boolean {
  return runtime.startsWith("io.containerd.runc");
}

function decoded<T>(
  any: TypedBytes | undefined,
  type: { decode(bytes: Uint8Array): T },
  name: string,
  what: string,
): T | undefined {
  if (any === undefined || any.typeUrl === "") return undefined;
  if (any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1) !== `containerd.runc.v1.${name}`)
    throw unknown(`invalid ${what}`);
  return type.decode(any.value);
}
