import {
  Kind,
  SnapshotsDefinition,
  type Info as WireInfo,
} from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { timestampOfNanos } from "@hull/api/timestamp";
import type { SnapshotInfo, SnapshotKind, Snapshotter } from "@hull/engine/snapshots/index";
import { invalidArgument } from "@hull/errors";
import { type Service, service } from "../server/service.ts";
import { contextOf, need, toWireMount } from "./wire.ts";

/** Infos in one message of a list. */
const batch = 100;

const kinds: Readonly<Record<SnapshotKind, Kind>> = {
  view: Kind.VIEW,
  active: Kind.ACTIVE,
  committed: Kind.COMMITTED,
};

export const snapshotsService = (snapshotters: ReadonlyMap<string, Snapshotter>): Service => {
  const named = (name: string): Snapshotter => {
    const snapshotter = snapshotters.get(name);
    if (snapshotter !== undefined) return snapshotter;
    if (name === "") throw invalidArgument("snapshotter argument missing");
    throw invalidArgument(`snapshotter not loaded: ${name}`);
  };
  return service(SnapshotsDefinition, {
    async prepare({ snapshotter, key, parent, labels }, call) {
      const mounts = await named(snapshotter).prepare(contextOf(call), key, parent, { labels });
      return { mounts: mounts.map(toWireMount) };
    },
    async view({ snapshotter, key, parent, labels }, call) {
      const mounts = await named(snapshotter).view(contextOf(call), key, parent, { labels });
      return { mounts: mounts.map(toWireMount) };
    },
    async mounts({ snapshotter, key }, call) {
      return { mounts: (await named(snapshotter).mounts(contextOf(call), key)).map(toWireMount) };
    },
    async commit({ snapshotter, name, key, labels, parent }, call) {
      const options = parent === "" ? { labels } : { labels, parent };
      await named(snapshotter).commit(contextOf(call), name, key, options);
      return {};
    },
    async remove({ snapshotter, key }, call) {
      await named(snapshotter).remove(contextOf(call), key);
      return {};
    },
    async stat({ snapshotter, key }, call) {
      return { info: toWireInfo(await named(snapshotter).stat(contextOf(call), key)) };
    },
    async update({ snapshotter, info, updateMask }, call) {
      const { name, labels } = need(info, "info");
      return { info: toWireInfo(await named(snapshotter).update(contextOf(call), name, labels, updateMask)) };
    },
    async *list({ snapshotter, filters }, call) {
      let info: WireInfo[] = [];
      for await (const found of named(snapshotter).walk(contextOf(call), filters)) {
        if (info.push(toWireInfo(found)) < batch) continue;
        yield { info };
        info = [];
      }
      if (info.length > 0) yield { info };
    },
    async usage({ snapshotter, key }, call) {
      const { size, inodes } = await named(snapshotter).usage(contextOf(call), key);
      return { size: BigInt(size), inodes: BigInt(inodes) };
    },
    async cleanup({ snapshotter }) {
      await named(snapshotter).cleanup();
      return {};
    },
  });
};

const toWireInfo = ({ name, parent, kind, labels, createdAt, updatedAt }: SnapshotInfo): WireInfo => ({
  name,
  parent,
  kind: kinds[kind],
  labels,
  createdAt: timestampOfNanos(createdAt),
  updatedAt: timestampOfNanos(updatedAt),
});
