import { HullError, isCode } from "@hull/errors";
import { type Context, contextFor } from "../context.ts";
import type { LeaseStore } from "../leases/index.ts";

/** What an unfinished transfer fetched is kept for so long, so that the next one goes on from there. */
const lifetime = 24 * 60 * 60 * 1000;
const purposeLabel = "hull.dev/transfer";

// Errors that say what was asked for is wrong: nothing of it is worth keeping.
const final: ReadonlySet<string> = new Set([
  "invalidArgument",
  "failedPrecondition",
  "notFound",
  "unimplemented",
  "dataLoss",
]);

/**
 * Runs `work` with a lease of its own, unless the caller brought one. Done or refused, the lease goes, with those that earlier
 * interrupted runs for the same purpose left; interrupted, it stays for a day and keeps what is there.
 * @param purpose one line that is the same for each try; only one `work` a purpose may run at a time
 */
export async function withLease<T>(
  ctx: Context,
  leases: LeaseStore,
  purpose: string,
  work: (ctx: Context) => Promise<T>,
): Promise<T> {
  if (ctx.lease !== undefined && ctx.lease !== "") return work(ctx);
  const { id } = await leases.create(ctx, "", {
    "containerd.io/gc.expire": new Date(Date.now() + lifetime).toISOString(),
    [purposeLabel]: purpose,
  });
  // The caller may have gone meanwhile, the lease has to go all the same.
  const own = contextFor(ctx.namespace);
  let result: T;
  try {
    result = await work({ ...ctx, lease: id });
  } catch (error) {
    if (final.has(HullError.from(error).code)) await release(own, leases, purpose);
    else if (await isEmpty(own, leases, id)) await remove(own, leases, id);
    throw error;
  }
  await release(own, leases, purpose);
  return result;
}

/** A lease that keeps nothing is only in the way. */
async function isEmpty(ctx: Context, leases: LeaseStore, id: string): Promise<boolean> {
  try {
    return (await leases.listResources(ctx, id)).length === 0;
  } catch (error) {
    // Somebody deleted it.
    if (isCode(error, "notFound")) return false;
    throw error;
  }
}

async function release(ctx: Context, leases: LeaseStore, purpose: string): Promise<void> {
  for (const { id, labels } of await leases.list(ctx)) {
    if (labels[purposeLabel] === purpose) await remove(ctx, leases, id);
  }
}

async function remove(ctx: Context, leases: LeaseStore, id: string): Promise<void> {
  await leases.delete(ctx, id).catch((error: unknown) => {
    if (!isCode(error, "notFound")) throw error;
  });
}
