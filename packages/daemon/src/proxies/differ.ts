import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import { timestampOfNanos } from "@hull/api/timestamp";
import type { Context } from "@hull/engine/context";
import type { ApplyOptions, CompareOptions, Differ } from "@hull/engine/diff/index";
import type { Mount } from "@hull/engine/mount/index";
import { failedPrecondition } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { fromWireDescriptor, need, toWireDescriptor, toWireMount } from "../services/wire.ts";
import type { Link } from "./link.ts";

/** A differ in another process. It finds and keeps blobs by itself: in this daemon's content store, over its socket. */
export class ProxyDiffer implements Differ {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  async apply(
    ctx: Context,
    descriptor: Descriptor,
    mounts: readonly Mount[],
    { payloads = {}, syncFs = false, rebase = false }: ApplyOptions = {},
  ): Promise<Descriptor> {
    // The API can't ask for it: deletions would be done where there is nothing yet to delete, and be forgotten.
    if (rebase) throw failedPrecondition("a differ in another process applies a layer only onto those below it");
    const service = await this.#link.service(ctx, DiffDefinition);
    const { applied } = await service.apply(
      { diff: toWireDescriptor(descriptor), mounts: mounts.map(toWireMount), payloads: { ...payloads }, syncFs },
      { signal: ctx.signal },
    );
    return fromWireDescriptor(need(applied, "applied"));
  }

  async compare(
    ctx: Context,
    left: readonly Mount[],
    right: readonly Mount[],
    { mediaType = "", ref = "", labels = {}, sourceDateEpoch }: CompareOptions = {},
  ): Promise<Descriptor> {
    const service = await this.#link.service(ctx, DiffDefinition);
    const { diff } = await service.diff(
      {
        left: left.map(toWireMount),
        right: right.map(toWireMount),
        mediaType,
        ref,
        labels: { ...labels },
        ...(sourceDateEpoch === undefined ? {} : { sourceDateEpoch: timestampOfNanos(sourceDateEpoch) }),
      },
      { signal: ctx.signal },
    );
    return fromWireDescriptor(need(diff, "diff"));
  }
}
