import { resolve } from "node:path";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { nowNanos, rfc3339OfNanos } from "@hull/api/timestamp";
import { getImage, isUnpacked, platformImage, snapshotOf } from "@hull/client/images";
import { unpackImage } from "@hull/client/unpack";
import { isCode } from "@hull/errors";
import { hostPlatform, parsePlatform } from "@hull/oci/platform";
import { mountAll, unmountAll } from "@hull/sys/mount";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { imagesMount, imagesUnmount } from "./flags.ts";
import { defaultSnapshotter } from "./globals.ts";
import { parseLabels } from "./labels.ts";

const nanosPerMs = 1_000_000n;

/** Mounts an image, unpacked before if it isn't: a snapshot on it, called as the place is, and kept by a lease of that name. */
export const mountImage: CtrAction<typeof imagesMount> = async ({
  flags,
  args: [name = "", target = ""],
  globals,
  host,
}) => {
  if (name === "") throw new CtrError("please provide an image reference to mount");
  if (target === "") throw new CtrError("please provide a target path to mount to");
  const snapshotter = flags.snapshotter ?? defaultSnapshotter;
  const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
  return await withClient(globals, async (client) => {
    const found = await platformImage(client, (await getImage(client, name)).target, platform);
    if (!(await isUnpacked(client, found, snapshotter)))
      await unpackImage(client, found, { snapshotter, syncFs: flags["sync-fs"] });
    const given = parseLabels(flags.label);
    const updateMask = Object.keys(given).map((key) => `labels.${key}`);
    if (updateMask.length > 0)
      await client.service(ImagesDefinition).update({ image: { name, labels: given }, updateMask });
    const parent = snapshotOf(found);
    const leases = client.service(LeasesDefinition);
    const expire = rfc3339OfNanos(nowNanos() + BigInt(flags.expiration) * nanosPerMs);
    const labels = { "containerd.io/gc.expire": expire, [`containerd.io/gc.ref.snapshot.${snapshotter}`]: target };
    await leases.create({ id: target, labels });
    await using undo = new AsyncDisposableStack();
    undo.defer(async () => void (await leases.delete({ id: target })));
    const snapshots = client.withLeaseId(target).service(SnapshotsDefinition);
    const request = { snapshotter, key: target, parent };
    const { mounts } = flags.rw ? await snapshots.prepare(request) : await snapshots.view(request);
    undo.defer(async () => void (await snapshots.remove({ snapshotter, key: target })));
    mountAll(mounts, resolve(target));
    undo.move();
    await host.out(`${parent}\n${target}\n`);
    return 0;
  });
};

export const unmountImage: CtrAction<typeof imagesUnmount> = async ({ flags, args: [target = ""], globals, host }) => {
  if (target === "") throw new CtrError("please provide a target path to unmount from");
  const snapshotter = flags.snapshotter ?? defaultSnapshotter;
  unmountAll(resolve(target));
  if (flags.rm)
    await withClient(globals, async (client) => {
      await client.service(SnapshotsDefinition).remove({ snapshotter, key: target });
      await client
        .service(LeasesDefinition)
        .delete({ id: target })
        .catch((error: unknown) => {
          if (!isCode(error, "notFound")) throw error;
        });
    });
  await host.out(`${target}\n`);
  return 0;
};
