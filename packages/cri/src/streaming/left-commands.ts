/** Commands that an earlier run of the daemon left in containers: their clients have gone with it, and nobody else will see to their end. */

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { contextFor } from "@hull/engine/context";
import { silent } from "@hull/engine/log";
import { HullError, isCode } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { criNamespace } from "../model.ts";
import type { ExecOptions } from "./exec.ts";

/**
 * Gives a container's commands the end of their input, as when a client goes, and lets the shim forget each once it has ended. Which there are
 * is told by their FIFOs, which are kept until then: for the next run, if this one ends before them.
 *
 * @param id whole id of a container
 * @returns when all of them have ended, or nobody knows of them any more
 */
export async function endLeftCommands(options: ExecOptions, id: string): Promise<void> {
  const directory = options.fifoDirectory(id);
  // At once, before there are new ones.
  const byCommand = Map.groupBy(filesOf(directory), (name) => /^([0-9a-f]{64})-std(in|out|err)$/.exec(name)?.[1]);
  byCommand.delete(undefined);
  await Promise.all([...byCommand].map(([execId = "", fifos]) => end(options, { id, execId, directory, fifos })));
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

interface LeftCommand {
  readonly id: string;
  readonly execId: string;
  readonly directory: string;
  readonly fifos: readonly string[];
}

async function end({ tasks, log = silent }: ExecOptions, { id, execId, directory, fifos }: LeftCommand): Promise<void> {
  const ctx = contextFor(criNamespace);
  try {
    if (fifos.includes(`${execId}-stdin`)) await tasks.closeIo(ctx, id, execId, true);
    await tasks.wait(ctx, id, execId);
    await tasks.deleteProcess(ctx, id, execId);
  } catch (error) {
    if (!isCode(error, "notFound")) {
      const fields = { container: id, exec: execId, error: HullError.from(error).message };
      log.log("debug", "a command of an earlier run was lost sight of", fields);
      return;
    }
  }
  for (const name of fifos) rmSync(join(directory, name), { force: true });
}
