import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { alreadyExists, failedPrecondition, HullError, invalidArgument, notFound, unimplemented } from "@hull/errors";
import { isErrno, SysError } from "@hull/sys/errno";
import { mountInfo, unmount } from "@hull/sys/mount";
import type { Context } from "../../context.ts";
import type { Labels } from "../../labels.ts";
import { mountAdaptor } from "../../metadata/filters/adaptors.ts";
import { compileFilters } from "../../metadata/filters/index.ts";
import { ensureNamespace, type Metadata, requireNamespace } from "../../metadata/index.ts";
import { updateLabels, validateLabels, withoutEmpty } from "../../metadata/labels.ts";
import { bigintOf, labelsOf, textOf } from "../../metadata/rows.ts";
import type { SqlRow } from "../../metadata/sql.ts";
import { KeyedLock } from "../../runtime/keyed-lock.ts";
import type { Mount } from "../index.ts";
import { handlers, plainHandler, takeDownLoop } from "./handlers.ts";
import type { ActivateOptions, Activation, ActiveMount, MountManager } from "./index.ts";
import { type Transform, transforms } from "./transforms.ts";

export interface MountManagerOptions {
  metadata: Metadata;
  /** The directory of the mount points; gone after a reboot, as they are. */
  targets: string;
  /** Directories below which file systems and directories are made. `targets` is one. */
  roots: readonly string[];
  /** Told of every deletion and change, so that a collection may be scheduled. */
  changed?: (kind: "deletion" | "mutation") => void;
}

/** What a list of mounts means: for each what is to be done before, and how many are mounted here. */
interface Plan {
  readonly steps: readonly { readonly mount: Mount; readonly before: readonly Transform[] }[];
  readonly mounted: number;
}

/** Activations in the metadata, with mount points `<targets>/<id>/<n>`, of which the last mounted is number 1. */
export class LocalMountManager implements MountManager {
  readonly #metadata: Metadata;
  readonly #targets: string;
  readonly #roots: readonly string[];
  readonly #changed: (kind: "deletion" | "mutation") => void;
  readonly #lock = new KeyedLock();

  constructor({ metadata, targets, roots, changed = () => undefined }: MountManagerOptions) {
    this.#metadata = metadata;
    this.#targets = targets;
    this.#roots = [targets, ...roots];
    this.#changed = changed;
    mkdirSync(targets, { recursive: true, mode: 0o700 });
    this.#forgetLost();
  }

  async activate(
    ctx: Context,
    name: string,
    mounts: readonly Mount[],
    { labels = {}, temporary = false }: ActivateOptions = {},
  ): Promise<Activation> {
    const namespace = requireNamespace(ctx);
    validateLabels(labels);
    if (name === "") throw invalidArgument("an activation needs a name");
    const plan = planOf(mounts, temporary);
    if (plan === undefined) throw unimplemented("");
    return await this.#lock.run(`${namespace}/${name}`, () => this.#activate(ctx, name, plan, { labels, temporary }));
  }

  async #activate(
    ctx: Context,
    name: string,
    plan: Plan,
    { labels, temporary }: Required<ActivateOptions>,
  ): Promise<Activation> {
    const id = this.#insert(ctx, name, labels);
    try {
      const { active, system } = await this.#mount(join(this.#targets, String(id)), plan);
      const left = temporary ? [bindOf(active)] : system;
      const activation = { name, labels: withoutEmpty(labels), active, system: left };
      this.#metadata.write(() =>
        this.#sql.prepare("UPDATE mounts SET info = ? WHERE id = ?").run(toJson(activation), id),
      );
      this.#changed("mutation");
      return activation;
    } catch (error) {
      this.#metadata.write(() => this.#sql.prepare("DELETE FROM mounts WHERE id = ?").run(id));
      await this.#takeDown(id).catch(() => undefined);
      throw error;
    }
  }

  async deactivate(ctx: Context, name: string): Promise<void> {
    const namespace = requireNamespace(ctx);
    await this.#lock.run(`${namespace}/${name}`, async () => {
      const { id } = this.#row(ctx, name);
      // The record goes first: what can't be taken down now is the collector's.
      this.#metadata.write(() => this.#sql.prepare("DELETE FROM mounts WHERE id = ?").run(bigintOf(id)));
      this.#changed("deletion");
      await this.#takeDown(Number(id));
    });
  }

  async info(ctx: Context, name: string): Promise<Activation> {
    return activationOf(this.#row(ctx, name));
  }

  async update(ctx: Context, name: string, labels: Labels, fieldpaths: readonly string[] = []): Promise<Activation> {
    const updated = this.#metadata.write(() => {
      const row = this.#row(ctx, name);
      const changed = updateLabels(labelsOf(row.labels), labels, fieldpaths, `mount "${name}"`);
      this.#sql
        .prepare("UPDATE mounts SET labels = ?, updated_at = ? WHERE id = ?")
        .run(JSON.stringify(changed), now(), bigintOf(row.id));
      return { ...activationOf(row), labels: changed };
    });
    this.#changed("mutation");
    return updated;
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Activation[]> {
    const matches = compileFilters(filters, mountAdaptor);
    const rows = this.#sql.prepare("SELECT * FROM mounts WHERE namespace = ? ORDER BY name").all(requireNamespace(ctx));
    return rows.map(activationOf).filter(matches);
  }

  async cleanup(): Promise<void> {
    for (const name of readdirSync(this.#targets)) {
      if (!this.#owns(Number(name))) await this.#takeDown(Number(name));
    }
  }

  get #sql() {
    return this.#metadata.sql;
  }

  #owns(id: number): boolean {
    return this.#sql.prepare("SELECT 1 FROM mounts WHERE id = ?").get(id) !== undefined;
  }

  /** After a reboot the mounts are gone, after a crash some were never done: their records are no use. */
  #forgetLost(): void {
    for (const { id, info } of this.#sql.prepare("SELECT id, info FROM mounts").all()) {
      if (info !== null && existsSync(join(this.#targets, String(id)))) continue;
      this.#metadata.write(() => this.#sql.prepare("DELETE FROM mounts WHERE id = ?").run(bigintOf(id)));
    }
  }

  #row(ctx: Context, name: string): SqlRow {
    const row = this.#sql
      .prepare("SELECT * FROM mounts WHERE namespace = ? AND name = ?")
      .get(requireNamespace(ctx), name);
    if (row === undefined) throw notFound(`mount "${name}"`);
    return row;
  }

  #insert(ctx: Context, name: string, labels: Labels): number {
    const namespace = requireNamespace(ctx);
    return this.#metadata.write(() => {
      ensureNamespace(this.#sql, namespace);
      const time = now();
      const row = this.#sql
        .prepare(
          `INSERT INTO mounts (namespace, name, labels, lease, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT DO NOTHING RETURNING id`,
        )
        .get(namespace, name, JSON.stringify(withoutEmpty(labels)), ctx.lease ?? "", time, time);
      if (row === undefined) throw alreadyExists(`mount "${name}"`);
      return Number(row.id);
    });
  }

  async #mount(target: string, { steps, mounted }: Plan): Promise<Pick<Activation, "active" | "system">> {
    mkdirSync(target, { mode: 0o700 });
    const active: ActiveMount[] = [];
    const system: Mount[] = [];
    // Directories sort in the order in which they have to be taken down.
    const width = String(mounted).length;
    for (const [index, { mount, before }] of steps.entries()) {
      let one = mount;
      // What is left to the caller may build on what was mounted here, and not on more.
      for (const transform of before) one = await transform(one, active, this.#roots);
      if (index >= mounted) {
        system.push(one);
        continue;
      }
      const name = String(mounted - index).padStart(width, "0");
      const mountPoint = join(target, name);
      writeFileSync(`${mountPoint}-type`, one.type, { mode: 0o600 });
      // A file system in a file is mounted once: a second loop device would know nothing of what the first has yet to write.
      const shared = one.options.includes("loop") ? this.#mountPointOf(one.source) : undefined;
      if (shared === undefined) (handlers[one.type] ?? plainHandler)(one, mountPoint);
      else plainHandler({ ...one, type: "bind", source: shared, options: ["bind"] }, mountPoint);
      active.push({ mount: one, mountPoint, mountedAt: now() });
    }
    return { active, system };
  }

  /** Where a file is mounted by another activation. */
  #mountPointOf(source: string): string | undefined {
    const rows = this.#sql.prepare("SELECT * FROM mounts WHERE instr(info, ?) > 0").all(JSON.stringify(source));
    const active = rows.flatMap((row) => activationOf(row).active);
    return active.find(({ mount }) => mount.source === source && mount.options.includes("loop"))?.mountPoint;
  }

  async #takeDown(id: number): Promise<void> {
    const target = join(this.#targets, String(id));
    if (!existsSync(target)) return;
    const inUse: unknown[] = [];
    for (const name of readdirSync(target).sort()) {
      const place = join(target, name);
      if (name.endsWith("-type") || takeDownLoop(place)) continue;
      try {
        takeDownMounts(place);
        rmdirSync(place);
      } catch (error) {
        if (!(error instanceof SysError) && !isErrno(error, "EBUSY")) throw HullError.from(error);
        inUse.push(error);
      }
    }
    if (inUse.length > 0) throw failedPrecondition(inUse.map((error) => HullError.from(error).message).join("; "));
    // Only files that tell types are left: nothing is mounted below any more.
    await rm(target, { recursive: true, force: true });
  }
}

/** Not by detaching: who asked for it has to know that the files are still in use. */
function takeDownMounts(place: string): void {
  while (mountInfo().some(({ target }) => target === place)) unmount(place);
}

/** How mounts are to be done; undefined if whoever has them can do it all. */
function planOf(mounts: readonly Mount[], temporary: boolean): Plan | undefined {
  let mounted = -1;
  const steps = mounts.map((mount, index) => {
    const before: Transform[] = [];
    let { type } = mount;
    for (let slash = type.indexOf("/"); slash !== -1; slash = type.indexOf("/")) {
      const transform = transforms[type.slice(0, slash)];
      if (transform === undefined) break;
      before.push(transform);
      type = type.slice(slash + 1);
      mounted = index;
    }
    if (handlers[type] !== undefined || temporary) mounted = index + 1;
    return { mount: { ...mount, type }, before };
  });
  return mounted === -1 ? undefined : { steps, mounted };
}

function bindOf(active: readonly ActiveMount[]): Mount {
  const last = active.at(-1);
  if (last === undefined) throw invalidArgument("there is nothing to mount");
  return { type: "bind", source: last.mountPoint, target: "", options: ["rbind"] };
}

const now = () => BigInt(Date.now()) * 1_000_000n;

function toJson({ active, system }: Activation): string {
  return JSON.stringify({ active: active.map((one) => ({ ...one, mountedAt: String(one.mountedAt) })), system });
}

function activationOf(row: SqlRow): Activation {
  const { active, system } = JSON.parse(typeof row.info === "string" ? row.info : '{"active":[],"system":[]}') as {
    active: (Omit<ActiveMount, "mountedAt"> & { mountedAt: string })[];
    system: Mount[];
  };
  return {
    name: textOf(row.name),
    labels: labelsOf(row.labels),
    active: active.map((one) => ({ ...one, mountedAt: BigInt(one.mountedAt) })),
    system,
  };
}
