import { randomBytes } from "node:crypto";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Client } from "@hull/client/client";
import { type Container, specOf } from "@hull/client/containers";
import { execProcess, nullIo, type Process } from "@hull/client/tasks";
import { internal, invalidArgument } from "@hull/errors";
import {
  buildSpec,
  type Process as ProcessSpec,
  withAddedCapabilities,
  withArgs,
  withCwd,
  withEnv,
  withTty,
  withUser,
} from "@hull/oci/spec";
import { ownCapabilities } from "@hull/sys/credentials";
import { attachedIo, letGo, runAttached } from "../attach.ts";
import { collectEnv } from "../env.ts";
import { findContainer } from "../find.ts";
import { type Call, fifoDirectory, placeOf } from "../globals.ts";
import { explain, openSession } from "../session.ts";
import { userIn } from "../spec.ts";
import { runningTask } from "./lifecycle.ts";
import { statusOf } from "./run.ts";

export interface ExecFlags {
  readonly interactive: boolean;
  readonly tty: boolean;
  readonly detach: boolean;
  readonly env: readonly string[];
  readonly "env-file": readonly string[];
  readonly workdir: string | undefined;
  readonly user: string | undefined;
  readonly privileged: boolean;
}

/** `hull exec`. Gives the exit status of the process. */
export async function exec(call: Call<ExecFlags>): Promise<number> {
  const { args, flags, globals, host } = call;
  const [key, ...command] = args;
  if (key === undefined || command.length === 0)
    throw invalidArgument(
      'a container and a command are needed: hull exec [flags] CONTAINER COMMAND; see "hull exec --help"',
    );
  await using client = await openSession(call);
  const container = await findContainer(client, key);
  await runningTask(client, container);
  const options = {
    terminal: flags.tty,
    stdin: flags.interactive,
    directory: fifoDirectory(placeOf(globals).address),
  };
  const execId = randomBytes(16).toString("hex");
  try {
    const spec = await processSpec(client, container, command, call);
    const io = flags.detach ? { paths: { ...nullIo.paths, terminal: flags.tty } } : attachedIo(execId, options);
    const process = await execProcess(client, container.id, execId, spec, io);
    return await finish(
      process,
      async () => {
        if (!flags.detach) return await runAttached(process, options);
        await process.start();
        return 0;
      },
      flags.detach,
    );
  } catch (error) {
    host.err(`hull: ${explain(error, globals)}\n`);
    // As docker has it: what can't be run is 126 or 127, anything else 1.
    const status = statusOf(error);
    return status === 125 ? 1 : status;
  }
}

/** Runs the process and takes it away behind itself, unless it is to go on alone. */
async function finish(process: Process, work: () => Promise<number>, detached: boolean): Promise<number> {
  try {
    const status = await work();
    if (!detached) await process.delete();
    return status;
  } catch (error) {
    letGo(process.io);
    await process.delete().catch(() => {});
    throw error;
  }
}

async function processSpec(
  client: Client,
  container: Container,
  command: readonly string[],
  { flags, host }: Call<ExecFlags>,
): Promise<ProcessSpec> {
  const spec = specOf(container);
  if (spec === undefined) throw internal(`the record of container "${container.id}" has no spec`);
  const { snapshotter, snapshotKey } = container;
  const user =
    flags.user === undefined
      ? []
      : [
          withUser(
            userIn(
              flags.user,
              (await client.service(SnapshotsDefinition).mounts({ snapshotter, key: snapshotKey })).mounts,
            ),
          ),
        ];
  const { process } = buildSpec(
    { ...spec, process: { ...spec.process, terminal: undefined } },
    withArgs(command),
    ...(flags.tty ? [withTty] : []),
    withEnv(collectEnv(flags["env-file"], flags.env, host.env)),
    ...(flags.workdir === undefined ? [] : [withCwd(flags.workdir)]),
    ...(flags.privileged ? [withAddedCapabilities(ownCapabilities())] : []),
    ...user,
  );
  return process;
}
