import type { PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import type { RuntimeHandler } from "../handlers.ts";
import type { PauseTask, Pod } from "../model.ts";
import type { PodDirectories } from "./directories.ts";
import { sharesPids } from "./namespaces.ts";

/**
 * What stands for a pod while it runs, where its namespaces alone aren't enough.
 *
 *   start ──► running ──stop──► ended ──remove──► (gone)
 *                └── ends by itself: `ended` resolves, and the pod isn't ready any more
 */
export interface PodKeeper {
  /** If this fails, nothing is left. */
  start(pod: Pod, handler: RuntimeHandler, directories: PodDirectories, mountLabel: string): Promise<PauseTask>;
  /** One that has ended is fine. */
  stop(id: string): Promise<void>;
  /** Stops it and removes all that it has. What isn't there is fine. */
  remove(id: string): Promise<void>;
  /** The pid while it runs. */
  pidOf(id: string): Promise<number | undefined>;
  /** Resolves when it has ended. */
  ended(id: string, signal: AbortSignal): Promise<void>;
}

/** What keeps a pod: its namespaces alone, a pause process, or a shim that knows pods. */
export type KeeperKind = "none" | "pause" | "shim";

/** The kind that a pod needs. */
export function keeperKind(config: PodSandboxConfig, { own, config: { sandboxer } }: RuntimeHandler): KeeperKind {
  // Our own shim is a process of the host, whose pid namespace must not become the pod's.
  if (own && sharesPids(config)) return "pause";
  if (sandboxer === "shim") return "shim";
  return own ? "none" : "pause";
}
