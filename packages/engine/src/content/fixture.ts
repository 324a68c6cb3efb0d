import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TypedBytes } from "../labels.ts";
import { Metadata } from "../metadata/index.ts";
import { type LocalContentOptions, LocalContentStore } from "./store.ts";

/** A local store in a directory of its own, for tests: removed with it. */
export class LocalContentFixture implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hull-content-"));
  readonly root: string;
  readonly metadata: Metadata;
  readonly store: LocalContentStore;
  readonly published: { namespace: string; topic: string; event: TypedBytes }[] = [];

  constructor(options: Partial<LocalContentOptions> = {}) {
    this.metadata = Metadata.open(this.directory);
    this.root = typeof options.root === "string" ? options.root : join(this.directory, "content");
    this.store = new LocalContentStore({
      metadata: this.metadata,
      events: { publish: ({ namespace }, topic, event) => this.published.push({ namespace, topic, event }) },
      ...options,
      root: options.root ?? this.root,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.metadata[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
