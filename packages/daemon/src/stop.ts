import { join } from "node:path";
import { failedPrecondition } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { close } from "@hull/sys/fd";
import { lockOwner } from "@hull/sys/lock";
import { kill, openProcess } from "@hull/sys/process";
import { processEnd } from "@hull/sys/watch";
import { lockFile } from "./lock.ts";

/**
 * Asks the daemon that works on `root` to stop, and waits until it has ended; containers go on. Gives its pid.
 * @throws FailedPrecondition if none does
 */
export async function stopDaemonOf(root: string): Promise<number> {
  const pid = ownerOf(join(root, lockFile));
  if (pid === undefined)
    throw failedPrecondition(`no daemon works on "${root}": if it has another directory, say --root`);
  const pidfd = openProcess(pid);
  try {
    kill(pid, "SIGTERM");
    await processEnd({ pidfd });
    return pid;
  } finally {
    close(pidfd);
  }
}

function ownerOf(file: string): number | undefined {
  try {
    return lockOwner(file);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
