import { type Info, Kind, SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import { nanosOfTimestamp, rfc3339OfNanos, type Timestamp } from "@hull/api/timestamp";
import type { Client } from "@hull/client/client";
import { HullError, isCode } from "@hull/errors";
import { type FlagValues, formatBytes, formatTable, type Host, type Invocation } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError, withClass } from "./errors.ts";
import type { snapshotsPrepare, snapshotsUsage } from "./flags.ts";
import { defaultSnapshotter, type globalFlags, type snapshotsFlags } from "./globals.ts";
import { goJson, sorted } from "./go-json.ts";

const kinds: Readonly<Partial<Record<Kind, string>>> = {
  [Kind.ACTIVE]: "Active",
  [Kind.COMMITTED]: "Committed",
  [Kind.VIEW]: "View",
};

/** The snapshotter that the group's flag names. */
export function snapshotterOf(globals: FlagValues<typeof globalFlags>): string {
  return (globals as Partial<FlagValues<typeof snapshotsFlags>>).snapshotter ?? defaultSnapshotter;
}

async function listAll(client: Client, snapshotter: string): Promise<Info[]> {
  const found: Info[] = [];
  for await (const { info } of client.service(SnapshotsDefinition).list({ snapshotter, filters: [] }))
    found.push(...info);
  return found;
}

export const listSnapshots: CtrAction = ({ globals, host }) =>
  withClient(globals, async (client) => {
    const rows = (await listAll(client, snapshotterOf(globals))).map(({ name, parent, kind }) => [
      name,
      parent,
      kinds[kind] ?? "Unknown",
    ]);
    await host.out(formatTable([["KEY", "PARENT", "KIND"], ...rows]));
    return 0;
  });

export const snapshotInfo: CtrAction = async ({ args, globals, host, help }) => {
  if (args.length !== 1) return await help();
  const [key = ""] = args;
  return await withClient(globals, async (client) => {
    const { info } = await client.service(SnapshotsDefinition).stat({ snapshotter: snapshotterOf(globals), key });
    const time = (at: Timestamp | undefined) => rfc3339OfNanos(nanosOfTimestamp(at) ?? 0n);
    const { name = "", parent = "", kind = Kind.UNKNOWN, labels = {} } = info ?? {};
    const shown = {
      Kind: kinds[kind] ?? "Unknown",
      Name: name,
      Parent: parent === "" ? undefined : parent,
      Labels: Object.keys(labels).length === 0 ? undefined : sorted(labels),
      Created: time(info?.createdAt),
      Updated: time(info?.updatedAt),
    };
    await host.out(`${goJson(shown, "    ")}\n`);
    return 0;
  });
};

export const snapshotMounts: CtrAction = async ({ args, globals, host, help }) => {
  if (args.length !== 2) return await help();
  const [target = "", key = ""] = args;
  return await withClient(globals, async (client) => {
    const { mounts } = await client.service(SnapshotsDefinition).mounts({ snapshotter: snapshotterOf(globals), key });
    await host.out(mountCommands(target, mounts));
    return 0;
  });
};

/** What a person would type to mount them. */
function mountCommands(target: string, mounts: readonly Mount[]): string {
  return mounts
    .map(({ type, source, options }) => {
      const flags = options.length === 0 ? "" : ` -o ${options.join(",")}`;
      return `mount -t ${type} ${source} ${target}${flags}\n`;
    })
    .join("");
}

/** What a person makes stays until they remove it. */
export const keptLabels = (): Record<string, string> => ({
  "containerd.io/gc.root": `${new Date().toISOString().slice(0, 19)}Z`,
});

type PrepareCall = Invocation<typeof snapshotsPrepare, typeof globalFlags>;

export const prepareSnapshot: CtrAction<typeof snapshotsPrepare> = (call) => make(call, "prepare");
export const viewSnapshot: CtrAction<typeof snapshotsPrepare> = (call) => make(call, "view");

async function make({ flags, args, globals, host, help }: PrepareCall, how: "prepare" | "view"): Promise<number> {
  if (args.length !== 1 && args.length !== 2) return await help();
  const [key = "", parent = ""] = args;
  return await withClient(globals, async (client) => {
    const { mounts } = await client
      .service(SnapshotsDefinition)
      [how]({ snapshotter: snapshotterOf(globals), key, parent, labels: keptLabels() });
    if (flags.target !== undefined) await host.out(mountCommands(flags.target, mounts));
    if (flags.mounts) await printMounts(host, mounts);
    return 0;
  });
}

async function printMounts(host: Host, mounts: readonly Mount[]): Promise<void> {
  const shown = mounts.map(({ type, source, options }) => ({ Type: type, Source: source, Options: options }));
  await host.out(`${goJson(shown, "    ")}\n`);
}

export const commitSnapshot: CtrAction = async ({ args, globals, help }) => {
  if (args.length !== 2) return await help();
  const [name = "", key = ""] = args;
  return await withClient(globals, async (client) => {
    await client
      .service(SnapshotsDefinition)
      .commit({ snapshotter: snapshotterOf(globals), name, key, labels: keptLabels() });
    return 0;
  });
};

export const snapshotUsage: CtrAction<typeof snapshotsUsage> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    const snapshotter = snapshotterOf(globals);
    const keys = args.length > 0 ? args : (await listAll(client, snapshotter)).map(({ name }) => name);
    const rows: string[][] = [];
    for (const key of keys) {
      const { size, inodes } = await client.service(SnapshotsDefinition).usage({ snapshotter, key });
      rows.push([key, flags.b ? String(size) : formatBytes(Number(size)), String(inodes)]);
    }
    await host.out(formatTable([["KEY", "SIZE", "INODES"], ...rows]));
    return 0;
  });

export const removeSnapshots: CtrAction = ({ args, globals }) =>
  withClient(globals, async (client) => {
    for (const key of args) {
      try {
        await client.service(SnapshotsDefinition).remove({ snapshotter: snapshotterOf(globals), key });
      } catch (error) {
        if (!isCode(error, "unavailable"))
          throw new CtrError(`failed to remove ${JSON.stringify(key)}: ${withClass(HullError.from(error))}`);
        throw error;
      }
    }
    return 0;
  });

export const snapshotTree: CtrAction = ({ globals, host }) =>
  withClient(globals, async (client) => {
    const infos = await listAll(client, snapshotterOf(globals));
    const children = new Map<string, string[]>();
    for (const { name, parent } of infos) children.set(parent, [...(children.get(parent) ?? []), name]);
    let text = "";
    const print = (name: string, depth: number): void => {
      text += `${" ".repeat(1 + 2 * Math.max(0, depth - 1))}${depth > 0 ? " \\_ " : ""}${name}\n`;
      for (const child of children.get(name) ?? []) print(child, depth + 1);
    };
    for (const name of children.get("") ?? []) print(name, 0);
    await host.out(text);
    return 0;
  });
