import { join } from "node:path";

/** Where the CRI keeps what isn't in the metadata. */
export interface CriDirectories {
  /** Survives a restart of the host. */
  readonly root: string;
  /** Does not. */
  readonly state: string;
  /** Of network namespaces. */
  readonly netns: string;
}

/** The places of one pod. */
export interface PodDirectories {
  readonly files: string;
  readonly volatile: string;
  readonly shm: string;
  readonly pinned: string;
  readonly netns: string;
}

/** As containerd's: tools look there. */
export function podDirectories({ root, state, netns }: CriDirectories, id: string): PodDirectories {
  const volatile = join(state, "sandboxes", id);
  return {
    files: join(root, "sandboxes", id),
    volatile,
    shm: join(volatile, "shm"),
    pinned: join(volatile, "pinned-namespaces"),
    netns,
  };
}
