/**
 * Starting a created container without the runtime's command.
 *
 * A container that runc or crun has created waits at the FIFO `exec.fifo` in the runtime's directory of the container. All that `start` does,
 * if the spec has no hooks, is to let it go on and to remove the FIFO, whose absence is what the runtime knows a running container by. That
 * takes a fraction of what starting the command takes.
 *
 *   runc   the container writes a byte once somebody reads, and closes the FIFO as it becomes its program
 *   crun   the container reads a byte
 *
 * Source: `Exec` in libcontainer/container_linux.go of runc 1.0 to 1.5; `libcrun_status_write_exec_fifo` in src/libcrun/status.c of crun.
 */

import { existsSync, lstatSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "@hull/sys/errno";
import { Descriptor, open, openFlags, read, write } from "@hull/sys/fd";
import { ready } from "@hull/sys/watch";

/**
 * Starts the container if its runtime is known to wait so.
 *
 * @param directory the runtime's directory of the container
 * @param ended settles when the container's first process has ended
 * @returns false if nothing was done: the runtime's command is to be run, which knows what is the matter
 */
export async function startByFifo(directory: string, ended: Promise<unknown>): Promise<boolean> {
  const path = join(directory, "exec.fifo");
  try {
    if (!lstatSync(path).isFIFO()) return false;
    if (existsSync(join(directory, "state.json"))) return await letRuncGoOn(path, ended);
    if (existsSync(join(directory, "status"))) return letCrunGoOn(path);
    return false;
  } catch (error) {
    // Gone meanwhile, or (ENXIO) nobody waits at it.
    if (isErrno(error, "ENOENT", "ENXIO")) return false;
    throw error;
  }
}

async function letRuncGoOn(path: string, ended: Promise<unknown>): Promise<boolean> {
  using fifo = new Descriptor(open(path, openFlags.readOnly | openFlags.nonBlocking));
  const stop = new AbortController();
  void ended.then(() => stop.abort());
  const byte = new Uint8Array(16);
  let started = false;
  for (;;) {
    try {
      // Before there is a writer the end is no event; a writer that has closed it is one.
      await ready(fifo.fd, "read", { signal: stop.signal });
    } catch (error) {
      if (!stop.signal.aborted) throw error;
      return finish(path, started || (read(fifo.fd, byte) ?? 0) > 0);
    }
    const count = read(fifo.fd, byte);
    if (count === 0) return finish(path, started);
    if (count !== undefined) started = true;
  }
}

function finish(path: string, started: boolean): boolean {
  if (started) rmSync(path, { force: true });
  return started;
}

function letCrunGoOn(path: string): boolean {
  using fifo = new Descriptor(open(path, openFlags.writeOnly | openFlags.nonBlocking));
  rmSync(path);
  write(fifo.fd, new Uint8Array(1));
  return true;
}
