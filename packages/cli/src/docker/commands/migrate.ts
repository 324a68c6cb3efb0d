import { lockRoot } from "@hull/daemon/lock";
import { migrate as migrateFrom, type Summary, undoMigration } from "@hull/engine/migrate/index";
import { invalidArgument } from "@hull/errors";
import { needArguments } from "../find.ts";
import { formatSize } from "../format.ts";
import { type Call, placeOf } from "../globals.ts";

/** `hull migrate` */
export async function migrate(call: Call<{ from?: string; undo: boolean; force: boolean }>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 0, 0, "");
  const { root } = placeOf(globals);
  if ((flags.from === undefined) !== flags.undo) {
    throw invalidArgument("give the root of the containerd that is left: --from /var/lib/containerd, or --undo");
  }
  using _ = lockRoot(root);
  if (flags.from === undefined) {
    const { from, snapshots, missing, records } = undoMigration(root, { force: flags.force });
    await host.out(`gave ${snapshots} snapshots back to "${from}"; hull's records of them are in "${records}"\n`);
    for (const key of missing)
      host.err(`hull: snapshot "${key}" was removed meanwhile, containerd has its record only\n`);
    return 0;
  }
  const summary = migrateFrom({ from: flags.from, to: root });
  await host.out(`${describe(summary)}\n`);
  await host.out(`They are in "${root}" now; "hull migrate --undo" gives them back.\n`);
  return 0;
}

function describe(summary: Summary): string {
  const { images, containers, sandboxes, snapshots, leases, namespaces, blobs, blobBytes } = summary;
  const counts = [
    [images, "images"],
    [containers, "containers"],
    [sandboxes, "sandboxes"],
    [snapshots, "snapshots"],
    [leases, "leases"],
  ] as const;
  const named = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return `took over ${[...named, `${blobs} blobs (${formatSize(blobBytes)})`].join(", ")} of ${namespaces} namespaces`;
}
