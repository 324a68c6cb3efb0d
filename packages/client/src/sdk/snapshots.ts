import { Kind, SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { Client } from "../client.ts";

export type { Mount } from "@hull/api/gen/containerd/types/mount";

/** What is known of a snapshot. */
export interface SnapshotInfo {
  readonly name: string;
  /** Empty: it stands on none. */
  readonly parent: string;
  readonly kind: "view" | "active" | "committed" | "unknown";
  readonly labels: Readonly<Record<string, string>>;
}

const kinds: Readonly<Record<number, SnapshotInfo["kind"]>> = {
  [Kind.VIEW]: "view",
  [Kind.ACTIVE]: "active",
  [Kind.COMMITTED]: "committed",
};

/** Snapshots of file systems, each on another one. The first parameter is a snapshotter's name where it isn't `overlayfs`. */
export class Snapshots {
  readonly #client: Client;
  readonly #snapshotter: string;

  constructor(client: Client, snapshotter = "overlayfs") {
    this.#client = client;
    this.#snapshotter = snapshotter;
  }

  /** The snapshots of another snapshotter. */
  of(snapshotter: string): Snapshots {
    return new Snapshots(this.#client, snapshotter);
  }

  async *list(...filters: string[]): AsyncGenerator<SnapshotInfo, void, undefined> {
    const snapshotter = this.#snapshotter;
    for await (const { info } of this.#client.service(SnapshotsDefinition).list({ snapshotter, filters }))
      for (const { name, parent, kind, labels } of info) yield { name, parent, kind: kinds[kind] ?? "unknown", labels };
  }

  /** A snapshot to write to, on a committed one, and how to mount it. @throws AlreadyExists, NotFound */
  async prepare(key: string, parent = "", labels: Readonly<Record<string, string>> = {}): Promise<Mount[]> {
    const request = { snapshotter: this.#snapshotter, key, parent, labels: { ...labels } };
    return (await this.#client.service(SnapshotsDefinition).prepare(request)).mounts;
  }

  /** The same, to read only. */
  async view(key: string, parent = "", labels: Readonly<Record<string, string>> = {}): Promise<Mount[]> {
    const request = { snapshotter: this.#snapshotter, key, parent, labels: { ...labels } };
    return (await this.#client.service(SnapshotsDefinition).view(request)).mounts;
  }

  /** Makes one that was written to one that others can stand on, by another name. */
  async commit(name: string, key: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.#client
      .service(SnapshotsDefinition)
      .commit({ snapshotter: this.#snapshotter, name, key, labels: { ...labels } });
  }

  /** What it takes itself, without what it stands on. */
  async usage(key: string): Promise<{ readonly bytes: number; readonly inodes: number }> {
    const { size, inodes } = await this.#client
      .service(SnapshotsDefinition)
      .usage({ snapshotter: this.#snapshotter, key });
    return { bytes: Number(size), inodes: Number(inodes) };
  }

  /** @throws NotFound; FailedPrecondition if others stand on it */
  async remove(key: string): Promise<void> {
    await this.#client.service(SnapshotsDefinition).remove({ snapshotter: this.#snapshotter, key });
  }
}
