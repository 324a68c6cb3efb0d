import { type ShimConnection, type TaskClient, taskClient } from "./shim-connection.ts";
import { Tenants } from "./shim-tenants.ts";
import type { SpareShim } from "./spare-shims.ts";

/** A shim in use. */
export class Shim {
  readonly connected: ShimConnection;
  /** What it is kept for; with the last of them it goes. */
  readonly tenants: Tenants;
  /** Ours, started by this daemon: it can be used again. */
  readonly spare: SpareShim | undefined;
  /** The shim's program; none for our own. */
  readonly program: string | undefined;
  /** Another's to end: it is kept for a sandbox that a controller elsewhere knows. */
  readonly foreign: boolean;

  constructor(
    connected: ShimConnection,
    options: { tenants?: Tenants; spare?: SpareShim; program?: string; foreign?: boolean } = {},
  ) {
    this.connected = connected;
    this.tenants = options.tenants ?? new Tenants();
    this.spare = options.spare;
    this.program = options.program;
    this.foreign = options.foreign ?? false;
  }

  /** Resolves when the connection has ended, from whichever side. */
  get lost(): Promise<void> {
    return this.connected.connection.closed;
  }

  client(namespace: string): TaskClient {
    return taskClient(this.connected, namespace);
  }
}
