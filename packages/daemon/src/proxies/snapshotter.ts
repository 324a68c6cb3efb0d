import { type Info, Kind, SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { ServiceClient } from "@hull/api/rpc";
import type { Context } from "@hull/engine/context";
import type { Labels } from "@hull/engine/labels";
import type { Mount } from "@hull/engine/mount/index";
import type { SnapshotInfo, SnapshotOptions, Snapshotter, Usage } from "@hull/engine/snapshots/index";
import { type NewSnapshot, SnapshotRecords, type SnapshotterOptions } from "@hull/engine/snapshots/records";
import { alreadyExists, isCode, notFound } from "@hull/errors";
import { fromWireMount, toSafe } from "../services/wire.ts";
import type { Link } from "./link.ts";

type Remote = ServiceClient<typeof SnapshotsDefinition>;

/** A client's question whether the snapshot it names is there already: the other process may have it without anybody making it. */
const targetLabel = "containerd.io/snapshot.ref";
/** Names that this made elsewhere: namespace, number, key. */
const ownName = /^[^/]+\/\d+\//;

/**
 * A snapshotter in another process, such as one that fetches files only when they are read (stargz, nydus, soci).
 *
 * Names, labels, leases and what keeps what are hull's to know; the other process has the files, under names that are unique over all
 * namespaces: `<namespace>/<number>/<key>`. Its snapshots that hull has no record of go with the next collection.
 */
export class ProxySnapshotter implements Snapshotter {
  readonly name: string;
  readonly capabilities: readonly string[];
  readonly #link: Link;
  readonly #records: SnapshotRecords;
  /** Names of snapshots there that are being made and have no record yet. */
  readonly #unborn = new Set<string>();

  constructor(name: string, link: Link, capabilities: readonly string[], options: SnapshotterOptions) {
    this.name = name;
    this.capabilities = capabilities;
    this.#link = link;
    this.#records = new SnapshotRecords(name, options);
  }

  async stat(ctx: Context, key: string): Promise<SnapshotInfo> {
    return this.#records.stat(ctx, key);
  }

  async update(ctx: Context, key: string, labels: Labels, fieldpaths: readonly string[] = []): Promise<SnapshotInfo> {
    const updated = this.#records.update(ctx, key, labels, fieldpaths);
    const { backend } = this.#records.get(ctx, key);
    const told = inherited(updated.labels);
    if (Object.keys(told).length > 0) {
      await (await this.#remote(ctx)).update(
        {
          snapshotter: this.name,
          info: { name: backend, labels: told },
          updateMask: Object.keys(told).map((name) => `labels.${name}`),
        },
        { signal: ctx.signal },
      );
    }
    return updated;
  }

  async usage(ctx: Context, key: string): Promise<Usage> {
    const { backend } = this.#records.get(ctx, key);
    const usage = await (await this.#remote(ctx)).usage(
      { snapshotter: this.name, key: backend },
      { signal: ctx.signal },
    );
    return { size: toSafe(usage.size, "size of a snapshot"), inodes: toSafe(usage.inodes, "inodes of a snapshot") };
  }

  async mounts(ctx: Context, key: string): Promise<Mount[]> {
    const { backend } = this.#records.getMountable(ctx, key);
    const { mounts } = await (await this.#remote(ctx)).mounts(
      { snapshotter: this.name, key: backend },
      { signal: ctx.signal },
    );
    return mounts.map(fromWireMount);
  }

  prepare(ctx: Context, key: string, parent: string, { labels }: SnapshotOptions = {}): Promise<Mount[]> {
    return this.#create(ctx, { key, parent, kind: "active", labels });
  }

  view(ctx: Context, key: string, parent: string, { labels }: SnapshotOptions = {}): Promise<Mount[]> {
    return this.#create(ctx, { key, parent, kind: "view", labels });
  }

  async commit(
    ctx: Context,
    name: string,
    key: string,
    { labels = {}, parent = "" }: SnapshotOptions & { parent?: string } = {},
  ): Promise<void> {
    const { id, backend } = this.#records.get(ctx, key);
    if (await this.#exists(ctx, name)) throw alreadyExists(`snapshot "${name}"`);
    const committed = nameOf(ctx, id, name);
    const above = parent === "" ? "" : this.#records.get(ctx, parent).backend;
    const remote = await this.#remote(ctx);
    using _ = this.#making(committed);
    await remote.commit(
      { snapshotter: this.name, name: committed, key: backend, labels: inherited(labels), parent: above },
      { signal: ctx.signal },
    );
    const { size, inodes } = await remote.usage({ snapshotter: this.name, key: committed }).catch(() => nothing);
    const usage = { size: Number(size), inodes: Number(inodes) };
    this.#records.commit(ctx, { key, name, labels, parent, usage, backend: committed });
  }

  async remove(ctx: Context, key: string): Promise<void> {
    const { backend } = this.#records.remove(ctx, key);
    await this.#records.durable();
    await this.#discard(await this.#remote(ctx), backend);
  }

  walk(ctx: Context, filters: readonly string[] = []): AsyncIterable<SnapshotInfo> {
    return this.#records.walk(ctx, filters, (info) => info);
  }

  async cleanup(): Promise<void> {
    await this.#records.durable();
    for (const namespace of this.#records.namespaces()) {
      const remote = await this.#link.service({ namespace }, SnapshotsDefinition);
      const known = this.#records.backends();
      const orphans: Info[] = [];
      for await (const { info } of remote.list({ snapshotter: this.name, filters: [] })) {
        for (const one of info) {
          const isOurs = ownName.test(one.name) && one.name.startsWith(`${namespace}/`);
          if (isOurs && !known.has(one.name) && !this.#unborn.has(one.name)) orphans.push(one);
        }
      }
      for (const { name } of childrenFirst(orphans)) await this.#discard(remote, name);
      await remote.cleanup({ snapshotter: this.name }).catch((error: unknown) => {
        // Not every one can.
        if (!isCode(error, "unimplemented")) throw error;
      });
    }
  }

  async #create(ctx: Context, snapshot: NewSnapshot): Promise<Mount[]> {
    const { key, parent, kind, labels = {} } = snapshot;
    const target = kind === "active" ? (labels[targetLabel] ?? "") : "";
    // Here already: the record says so without asking.
    if (target !== "" && (await this.#exists(ctx, target))) this.#records.insert(ctx, snapshot, () => undefined);
    const above = this.#records.check(ctx, snapshot);
    const id = this.#records.reserve();
    const backend = nameOf(ctx, id, key);
    const request = { snapshotter: this.name, key: backend, parent: above?.backend ?? "", labels: inherited(labels) };
    const remote = await this.#remote(ctx);
    using _ = this.#making(backend);
    let mounts: readonly Mount[];
    try {
      const made = await (kind === "view" ? remote.view : remote.prepare)(request, { signal: ctx.signal });
      mounts = made.mounts.map(fromWireMount);
    } catch (error) {
      if (target === "" || !isCode(error, "alreadyExists")) throw error;
      await this.#adopt(ctx, remote, { target, parent, above: above?.backend ?? "", labels });
      throw alreadyExists(`target snapshot "${target}"`);
    }
    try {
      this.#records.insert(ctx, { ...snapshot, id, backend }, () => undefined);
    } catch (error) {
      await this.#discard(remote, backend);
      throw error;
    }
    return [...mounts];
  }

  /** Records the snapshot that the other process says it has. @throws NotFound if it can't be found there after all */
  async #adopt(
    ctx: Context,
    remote: Remote,
    { target, parent, above, labels }: { target: string; parent: string; above: string; labels: Labels },
  ): Promise<void> {
    const filters = [`labels."${targetLabel}"==${JSON.stringify(target)}`];
    for await (const { info } of remote.list({ snapshotter: this.name, filters }, { signal: ctx.signal })) {
      const found = info.find(
        (one) => one.kind === Kind.COMMITTED && one.labels[targetLabel] === target && one.parent === above,
      );
      if (found === undefined) continue;
      this.#records.adopt(ctx, { key: target, parent, labels: { ...labels }, backend: found.name });
      return;
    }
    throw notFound(`target snapshot "${target}" in the backend`);
  }

  async #exists(ctx: Context, key: string): Promise<boolean> {
    try {
      this.#records.stat(ctx, key);
      return true;
    } catch (error) {
      if (isCode(error, "notFound")) return false;
      throw error;
    }
  }

  /** While a snapshot is made there, a collection must not take it for one without a record. */
  #making(name: string): Disposable {
    this.#unborn.add(name);
    return { [Symbol.dispose]: () => this.#unborn.delete(name) };
  }

  async #discard(remote: Remote, name: string): Promise<void> {
    try {
      await remote.remove({ snapshotter: this.name, key: name });
    } catch (error) {
      // What still has children there goes in the collection after theirs.
      if (!isCode(error, "notFound") && !isCode(error, "failedPrecondition")) throw error;
    }
  }

  #remote(ctx: Context): Promise<Remote> {
    return this.#link.service(ctx, SnapshotsDefinition);
  }
}

const nothing = { size: 0n, inodes: 0n };

const nameOf = ({ namespace }: Context, id: number, key: string): string => `${namespace}/${id}/${key}`;

/** Labels that are meant for whoever has the files. */
function inherited(labels: Labels): Record<string, string> {
  const isMeant = ([name]: [string, string]) => name.startsWith("containerd.io/snapshot/") || name === targetLabel;
  return Object.fromEntries(Object.entries(labels).filter(isMeant));
}

function childrenFirst(infos: readonly Info[]): Info[] {
  const byName = new Map(infos.map((info) => [info.name, info]));
  const depth = (info: Info): number => {
    const parent = byName.get(info.parent);
    return parent === undefined ? 0 : depth(parent) + 1;
  };
  return [...infos].sort((a, b) => depth(b) - depth(a));
}
