import type { Context } from "../../context.ts";
import type { Labels, Nanoseconds } from "../../labels.ts";
import type { Mount } from "../index.ts";

/**
 * The mount manager does mounts that a caller alone can't: those that build on other mounts, need a file system or directory made first,
 * or a file as a device.
 *
 *   activate(name, mounts) ──► active (mounted here) + system (left to the caller) ──deactivate(name)──► gone
 *
 * A mount's type may begin with transformations, applied from left to right: `format/` fills in `{{ mount 0 }}`, `{{ source 0 }}`,
 * `{{ target 0 }}` and `{{ overlay 0 2 }}` with what was mounted before; `mkfs/` makes a file system in the file that is its source
 * (options `X-containerd.mkfs.{fs,size,uuid}`); `mkdir/` makes directories (options `X-containerd.mkdir.path=<path>[:<mode>[:<uid>:<gid>]]`).
 * Types `loop` and `erofs` are mounted here in any case. (containerd, core/mount/manager.)
 *
 * What nothing refers to goes with the next collection: leases and labels `containerd.io/gc.ref.mount…` of other records keep an
 * activation, or `containerd.io/gc.bref.…` of its own. Mounts last until a reboot, whatever becomes of the daemon.
 */
export interface MountManager {
  /**
   * Does as many mounts as it takes for the caller to do the rest.
   * @throws Unimplemented if the caller can do them all; AlreadyExists; InvalidArgument for what can't be made of the mounts
   */
  activate(ctx: Context, name: string, mounts: readonly Mount[], options?: ActivateOptions): Promise<Activation>;
  /** Takes it all down. @throws NotFound; FailedPrecondition while a mount is in use */
  deactivate(ctx: Context, name: string): Promise<void>;
  /** @throws NotFound */
  info(ctx: Context, name: string): Promise<Activation>;
  /** Changes labels (`fieldpaths` as in ContentStore.update). @throws NotFound; InvalidArgument */
  update(ctx: Context, name: string, labels: Labels, fieldpaths?: readonly string[]): Promise<Activation>;
  list(ctx: Context, filters?: readonly string[]): Promise<Activation[]>;
  /** Takes down what no record owns any more. */
  cleanup(): Promise<void>;
}

export interface ActivateOptions {
  labels?: Labels;
  /** All mounts are done here; what is left to the caller is one bind mount of the last. */
  temporary?: boolean;
}

export interface Activation {
  name: string;
  labels: Labels;
  active: readonly ActiveMount[];
  /** Mounts that the caller does, in order. */
  system: readonly Mount[];
}

export interface ActiveMount {
  /** As it was mounted, without its transformations. */
  mount: Mount;
  /** A directory, or for a loop device a link to it. */
  mountPoint: string;
  mountedAt: Nanoseconds;
}
