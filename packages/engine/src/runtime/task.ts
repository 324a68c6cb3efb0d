import type { Bundle } from "./bundle.ts";
import type { Exit } from "./index.ts";
import type { Shim } from "./shim.ts";
import type { TaskClient } from "./shim-connection.ts";

/** A task as this side knows it: where it lives. Everything else its shim knows. */
export interface Task {
  readonly namespace: string;
  readonly id: string;
  readonly bundle: Bundle;
  readonly shim: Shim;
  readonly client: TaskClient;
  readonly pid: number;
  /** Set when the shim has died: how the task ended, undefined if that was settled otherwise. */
  lost?: Promise<Exit | undefined>;
}
