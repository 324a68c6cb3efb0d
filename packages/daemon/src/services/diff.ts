import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import type { Differ } from "@hull/engine/diff/index";
import { type Service, service } from "../server/service.ts";
import { contextOf, fromWireDescriptor, fromWireMount, need, toWireDescriptor } from "./wire.ts";

export const diffService = (differ: Differ): Service =>
  service(DiffDefinition, {
    async apply({ diff, mounts, payloads, syncFs }, call) {
      const layer = fromWireDescriptor(need(diff, "diff"));
      const options = { syncFs, payloads };
      return {
        applied: toWireDescriptor(await differ.apply(contextOf(call), layer, mounts.map(fromWireMount), options)),
      };
    },
    async diff({ left, right, mediaType, ref, labels, sourceDateEpoch }, call) {
      const made = await differ.compare(contextOf(call), left.map(fromWireMount), right.map(fromWireMount), {
        mediaType,
        ref,
        labels,
        sourceDateEpoch: nanosOfTimestamp(sourceDateEpoch),
      });
      return { diff: toWireDescriptor(made) };
    },
  });
