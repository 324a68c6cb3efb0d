import { Kind, SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { Client } from "./client.ts";
import { leaseId } from "./lease.ts";

/** Mounts of snapshots; the views that this takes are removed in the end. */
export class Trees implements AsyncDisposable {
  readonly #client: Client;
  readonly #snapshotter: string;
  readonly #views: string[] = [];

  constructor(client: Client, snapshotter: string) {
    this.#client = client;
    this.#snapshotter = snapshotter;
  }

  get #snapshots() {
    return this.#client.service(SnapshotsDefinition);
  }

  async mountsOf(key: string): Promise<Mount[]> {
    const { info } = await this.#snapshots.stat({ snapshotter: this.#snapshotter, key });
    if (info?.kind !== Kind.ACTIVE) return await this.#view(`${key}-view`, key);
    return (await this.#snapshots.mounts({ snapshotter: this.#snapshotter, key })).mounts;
  }

  async parentOf(key: string): Promise<Mount[]> {
    const { info } = await this.#snapshots.stat({ snapshotter: this.#snapshotter, key });
    return await this.#view(`${info?.parent ?? ""}-parent-view`, info?.parent ?? "");
  }

  async #view(name: string, parent: string): Promise<Mount[]> {
    const key = `${name}-${leaseId()}`;
    const { mounts } = await this.#snapshots.view({ snapshotter: this.#snapshotter, key, parent });
    this.#views.push(key);
    return mounts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const key of this.#views) await this.#snapshots.remove({ snapshotter: this.#snapshotter, key });
  }
}
