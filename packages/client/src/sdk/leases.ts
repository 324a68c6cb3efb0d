import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import type { Client } from "../client.ts";
import { withLease } from "../lease.ts";
import { Hull } from "./hull.ts";

/** Leases keep what is made under them from the collector. */
export class Leases {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async list(
    ...filters: string[]
  ): Promise<{ readonly id: string; readonly labels: Readonly<Record<string, string>> }[]> {
    const { leases } = await this.#client.service(LeasesDefinition).list({ filters });
    return leases.map(({ id, labels }) => ({ id, labels }));
  }

  /**
   * Runs `work` under a new lease: what it makes is kept until it is done, then by what refers to it. Should this process die, the lease
   * ends a day later.
   */
  async during<T>(work: (hull: Hull) => Promise<T>): Promise<T> {
    return await withLease(this.#client, (leased) => work(new Hull(leased)));
  }
}
