import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { timestampOfNanos } from "@hull/api/timestamp";
import { readContent } from "@hull/client/content";
import { withLease } from "@hull/client/lease";
import { Trees } from "@hull/client/snapshot-trees";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { snapshotsDiff } from "./flags.ts";
import { formatLabels, parseLabels } from "./labels.ts";
import { keptLabels, snapshotterOf } from "./snapshots.ts";

/** Writes the layer to standard output: what the second snapshot, or the first one beyond its parent, has changed. */
export const diffSnapshots: CtrAction<typeof snapshotsDiff> = async ({ flags, args, globals, host }) => {
  const [first = "", second = ""] = args;
  if (first === "") throw new CtrError("snapshot id must be provided");
  const labels = { ...parseLabels(flags.label), ...(flags.keep ? keptLabels() : {}) };
  const epoch = sourceDateEpoch();
  return await withClient(globals, (unleased) =>
    withLease(unleased, async (client) => {
      const trees = new Trees(client, snapshotterOf(globals));
      await using _ = trees;
      const left = second === "" ? await trees.parentOf(first) : await trees.mountsOf(first);
      const right = await trees.mountsOf(second === "" ? first : second);
      const { diff } = await client.service(DiffDefinition).diff({
        left,
        right,
        mediaType: flags["media-type"],
        ref: flags.ref ?? "",
        labels,
        ...(epoch === undefined ? {} : { sourceDateEpoch: epoch }),
      });
      for await (const bytes of readContent(client, diff?.digest ?? "")) await host.out(bytes);
      return 0;
    }),
  );
};

/** The environment's SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/). */
function sourceDateEpoch() {
  const value = process.env.SOURCE_DATE_EPOCH;
  if (value === undefined || value === "") return undefined;
  if (!/^-?\d{1,12}$/.test(value)) throw new CtrError(`invalid SOURCE_DATE_EPOCH value: "${value}"`);
  return timestampOfNanos(BigInt(value) * 1_000_000_000n);
}

/** Sets labels; an empty value takes one away. */
export const labelSnapshot: CtrAction = ({ args: [key = "", ...texts], globals, host }) =>
  withClient(globals, async (client) => {
    const service = client.service(SnapshotsDefinition);
    const snapshotter = snapshotterOf(globals);
    const labels = parseLabels(texts);
    const paths = Object.keys(labels).map((name) => `labels.${name}`);
    const { info } =
      paths.length === 0
        ? await service.stat({ snapshotter, key })
        : await service.update({ snapshotter, info: { name: key, labels }, updateMask: paths });
    await host.out(`${formatLabels(info?.labels ?? {})}\n`);
    return 0;
  });
