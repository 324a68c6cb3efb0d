import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { nowNanos, rfc3339OfNanos } from "@hull/api/timestamp";
import { leaseId } from "@hull/client/lease";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import type { contentPruneReferences } from "./flags.ts";
import { logLine } from "./log.ts";

/** `l.` and what older versions wrote: a number, of which 0 is the config's. */
const layerLabel = /^containerd\.io\/gc\.ref\.content\.(l\.|(?!0$)\d+$)/;
const minutes = 60_000_000_000n;

/** Takes the labels from manifests that keep their layers, so that layers which are unpacked can be collected. */
export const pruneReferences: CtrAction<typeof contentPruneReferences> = ({ flags, globals, host }) =>
  withClient(globals, async (client) => {
    const { async: later, dry } = flags;
    const content = client.service(ContentDefinition);
    if (dry) logLine(host, "debug", "dry run, no changes will be applied");
    const leases = client.service(LeasesDefinition);
    // A lease that ends asks for a collection.
    const id = dry ? "" : await makeLease();
    for await (const { info } of content.list({ filters: [] })) {
      for (const { digest, labels } of info) {
        const removed = Object.keys(labels).filter((label) => layerLabel.test(label));
        for (const label of removed) {
          if (dry || globals.debug) logLine(host, "debug", "Removing label", { digest, label });
        }
        if (dry || removed.length === 0) continue;
        const updateMask = removed.map((label) => `labels.${label}`);
        await content.update({ info: { digest, labels: {} }, updateMask });
      }
    }
    if (!dry) await leases.delete({ id, sync: !later });
    return 0;

    async function makeLease(): Promise<string> {
      const labels = { "containerd.io/gc.expire": rfc3339OfNanos(nowNanos() + 5n * minutes) };
      const { lease } = await leases.create({ id: leaseId(), labels });
      return lease?.id ?? "";
    }
  });
