import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { nanosOfTimestamp, nowNanos, rfc3339OfNanos } from "@hull/api/timestamp";
import { leaseId } from "@hull/client/lease";
import { formatTable } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import type { leasesCreate, leasesList, leasesRemove } from "./flags.ts";
import { formatLabels, parseLabels } from "./labels.ts";

const second = 1_000_000_000n;

export const listLeases: CtrAction<typeof leasesList> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    const { leases } = await client.service(LeasesDefinition).list({ filters: [...args] });
    if (flags.quiet) await host.out(leases.map(({ id }) => `${id}\n`).join(""));
    else {
      const rows = leases.map(({ id, createdAt, labels }) => [
        id,
        rfc3339OfNanos(((nanosOfTimestamp(createdAt) ?? 0n) / second) * second),
        formatLabels(labels) || "-",
      ]);
      await host.out(formatTable([["ID", "CREATED AT", "LABELS"], ...rows]));
    }
    return 0;
  });

export const createLease: CtrAction<typeof leasesCreate> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    const labels = parseLabels(args);
    if (flags.expires > 0) {
      const end = nowNanos() + BigInt(Math.round(flags.expires * 1e6));
      labels["containerd.io/gc.expire"] = rfc3339OfNanos((end / second) * second);
    }
    const { lease } = await client.service(LeasesDefinition).create({ id: flags.id ?? leaseId(), labels });
    await host.out(`${lease?.id ?? ""}\n`);
    return 0;
  });

export const removeLeases: CtrAction<typeof leasesRemove> = async ({ flags, args, globals, host, help }) => {
  if (args.length === 0) return await help();
  return await withClient(globals, async (client) => {
    for (const [at, id] of args.entries()) {
      // One collection for all is enough.
      await client.service(LeasesDefinition).delete({ id, sync: flags.sync && at === args.length - 1 });
      await host.out(`${id}\n`);
    }
    return 0;
  });
};
