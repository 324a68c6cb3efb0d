import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { nowNanos, rfc3339OfNanos } from "@hull/api/timestamp";
import { isCode } from "@hull/errors";
import type { Client } from "./client.ts";

const expireLabel = "containerd.io/gc.expire";
const day = 86_400_000_000_000n;

/**
 * Runs `work` with a client under a new lease, which keeps from the collector what the work creates before anything refers to it. The
 * lease ends with the work; should this process die first, a day later. Under a lease already it is that one.
 */
export async function withLease<T>(client: Client, work: (leased: Client) => Promise<T>): Promise<T> {
  if (client.lease !== undefined) return await work(client);
  const leases = client.service(LeasesDefinition);
  const labels = { [expireLabel]: rfc3339OfNanos(nowNanos() + day) };
  const { lease } = await leases.create({ id: leaseId(), labels });
  const id = lease?.id ?? "";
  try {
    return await work(client.withLeaseId(id));
  } finally {
    await leases.delete({ id }).catch((error: unknown) => {
      if (!isCode(error, "notFound")) throw error;
    });
  }
}

/** An id as containerd's clients make them: nanoseconds of the time and random letters, `123456789-AbCd`. */
export function leaseId(): string {
  const random = crypto.getRandomValues(new Uint8Array(3));
  const letters = btoa(String.fromCharCode(...random))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
  return `${nowNanos() % 1_000_000_000n}-${letters}`;
}
