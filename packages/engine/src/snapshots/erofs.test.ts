import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../context.ts";
import type { Mount } from "../mount/index.ts";
import { lendRootfs, returnRootfs } from "../mount/manager/lend.ts";
import { LocalMountManager } from "../mount/manager/manager.ts";
import { ErofsSnapshotter } from "./erofs.ts";
import { SnapshotterFixture } from "./fixture.ts";
import type { SnapshotOptions, Snapshotter } from "./index.ts";
import { snapshotterSuite } from "./suite.ts";

/** Has the mount manager do what is its to do, so that what is given can be mounted by anybody. */
class Lending implements AsyncDisposable {
  readonly #fixture = new SnapshotterFixture((options) => new ErofsSnapshotter({ ...options, program: "mkfs.erofs" }));
  readonly #manager = new LocalMountManager({
    metadata: this.#fixture.metadata,
    targets: join(this.#fixture.directory, "t"),
    roots: [],
  });
  readonly #lent: [Context, string][] = [];
  readonly snapshotter: Snapshotter;

  constructor() {
    const inner = this.#fixture.snapshotter;
    const lend = async (ctx: Context, key: string, mounts: readonly Mount[]): Promise<Mount[]> => {
      this.#lent.push([ctx, key]);
      return [...(await lendRootfs(this.#manager, ctx, key, mounts))];
    };
    this.snapshotter = {
      name: inner.name,
      capabilities: inner.capabilities,
      stat: (...args) => inner.stat(...args),
      update: (...args) => inner.update(...args),
      usage: (...args) => inner.usage(...args),
      walk: (...args) => inner.walk(...args),
      cleanup: () => inner.cleanup(),
      mounts: async (ctx, key) => await lend(ctx, key, await inner.mounts(ctx, key)),
      prepare: async (ctx: Context, key: string, parent: string, options?: SnapshotOptions) =>
        await lend(ctx, key, await inner.prepare(ctx, key, parent, options)),
      view: async (ctx: Context, key: string, parent: string, options?: SnapshotOptions) =>
        await lend(ctx, key, await inner.view(ctx, key, parent, options)),
      commit: async (ctx, name, key, options) => {
        await returnRootfs(this.#manager, ctx, key);
        await inner.commit(ctx, name, key, options);
      },
      remove: async (ctx, key) => {
        await returnRootfs(this.#manager, ctx, key);
        await inner.remove(ctx, key);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [ctx, key] of this.#lent) await returnRootfs(this.#manager, ctx, key);
    await this.#fixture[Symbol.asyncDispose]();
  }
}

const able = Bun.which("mkfs.erofs") !== null && readFileSync("/proc/filesystems", "utf8").includes("erofs");
if (able) snapshotterSuite("erofs", async () => new Lending(), { repacked: true });
