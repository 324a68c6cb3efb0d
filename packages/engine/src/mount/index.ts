/** A mount as the API describes it: type, source and options as in fstab, and a target below the root that it is made on. */
export interface Mount {
  type: string;
  source: string;
  /** Path below the root that the mounts are made on; empty for the root itself. */
  target: string;
  options: readonly string[];
}

export {
  readOnlyMounts,
  type TemporaryMount,
  type TemporaryMountOptions,
  temporaryMount,
  withTemporaryMount,
} from "./temporary.ts";
