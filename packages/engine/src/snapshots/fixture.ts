import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TypedBytes } from "../labels.ts";
import { Metadata } from "../metadata/index.ts";
import type { Snapshotter } from "./index.ts";
import type { SnapshotterOptions } from "./records.ts";

/** A snapshotter in a directory of its own, for tests: removed with it. */
export class SnapshotterFixture<S extends Snapshotter & AsyncDisposable> implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hull-snapshots-"));
  readonly root = join(this.directory, "root");
  readonly metadata: Metadata;
  readonly published: { namespace: string; topic: string; event: TypedBytes }[] = [];
  readonly options: SnapshotterOptions;
  readonly snapshotter: S;

  constructor(open: (options: SnapshotterOptions) => S) {
    this.metadata = Metadata.open(join(this.directory, "metadata"));
    this.options = {
      metadata: this.metadata,
      events: { publish: ({ namespace }, topic, event) => this.published.push({ namespace, topic, event }) },
      root: this.root,
    };
    this.snapshotter = open(this.options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.snapshotter[Symbol.asyncDispose]();
    this.metadata[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
