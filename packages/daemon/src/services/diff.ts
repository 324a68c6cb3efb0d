import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import type { Applier } from "@hull/engine/diff/index";
import { type Service, service } from "../server/service.ts";
import { contextOf, fromWireDescriptor, fromWireMount, need, toWireDescriptor } from "./wire.ts";

/** `Diff` is left out: making layers from snapshots isn't there yet. */
export const diffService = (applier: Applier): Service =>
  service(DiffDefinition, {
    async apply({ diff, mounts, payloads, syncFs }, call) {
      const layer = fromWireDescriptor(need(diff, "diff"));
      const options = { syncFs, payloads };
      return {
        applied: toWireDescriptor(await applier.apply(contextOf(call), layer, mounts.map(fromWireMount), options)),
      };
    },
  });
