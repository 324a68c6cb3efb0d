import { cgroupMode } from "@hull/sys/cgroup";

const unified = "/sys/fs/cgroup/unified";

/** Why crun can't be tested here; undefined if it can. */
export const noCrun =
  process.getuid?.() !== 0 ? "needs root" : Bun.which("crun") === null ? "needs Debian's crun package" : undefined;

/**
 * What a command is put behind to run where crun works; nothing where it does anyway.
 *
 * crun refuses hosts that have version 1 cgroups with version 2's hierarchy mounted beside them. In a mount namespace without that mount it
 * doesn't mind. crun writes to the place all the same, so a file system is mounted there that goes with the namespace.
 */
export const whereCrunWorks: readonly string[] =
  cgroupMode() === "hybrid"
    ? [
        ...["unshare", "--mount", "--propagation", "slave", "sh", "-c"],
        ...[`umount -l ${unified} && mount -t tmpfs none ${unified} && exec "$@"`, "sh"],
      ]
    : [];
