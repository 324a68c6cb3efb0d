import { writeFileSync } from "node:fs";
import { Options as RuncOptions } from "@hull/api/gen/containerd/runc/v1/options";
import { encodeAny } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { type Container, getContainer, removeContainer, specOf } from "@hull/client/containers";
import { makeFifos } from "@hull/client/io/fifos";
import { Pump, readShared } from "@hull/client/io/pump";
import { forwardSignals } from "@hull/client/io/signals";
import { enterRawMode, watchSize } from "@hull/client/io/terminal";
import { deleteTask, execProcess, getProcess, newTask, nullIo, type Process, type ProcessIo } from "@hull/client/tasks";
import { HullError, isCode } from "@hull/errors";
import { resolveUser } from "@hull/oci/spec";
import type { Host } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import type { runFlags } from "./container-flags.ts";
import { containerIdOf, createFrom } from "./create.ts";
import { CtrError } from "./errors.ts";
import type { tasksExec, tasksStart } from "./flags.ts";
import { goJson } from "./go-json.ts";
import { logLine } from "./log.ts";
import { HostNetwork } from "./network.ts";

export const run: CtrAction<typeof runFlags> = async ({ flags, given, args, globals, host }) => {
  const request = { flags, given, args };
  const id = containerIdOf(request);
  if (flags.config !== undefined) {
    if (id === "") throw new CtrError("container id must be provided");
  } else if ((args[0] ?? "") === "") throw new CtrError("image ref must be provided");
  if (id === "") throw new CtrError("container id must be provided");
  if (flags.rm && flags.detach) throw new CtrError("flags --detach and --rm cannot be specified together");
  const network = flags.cni ? new HostNetwork(host.env) : undefined;
  return await withClient(globals, async (client) => {
    const container = await createFrom(client, request);
    await using cleanup = new AsyncDisposableStack();
    if (flags.rm) cleanup.defer(() => removeContainer(client, container));
    if (given.has("dump-config")) dumpSpec(container, flags["dump-config"]);
    using terminal = flags.tty && !flags.detach ? enterRawMode(0) : undefined;
    void terminal;
    const io = ioFor(id, { ...flags, terminal: flags.tty }, host);
    const process = await newTask(client, container, io, taskOptions(flags["no-pivot"]));
    if (network !== undefined) await attachOrDelete(network, client.namespace, process);
    const end = async (): Promise<void> => {
      await network?.detach(client.namespace, id).catch((error: unknown) => {
        logLine(host, "error", "network remove error", { error: HullError.from(error).message });
      });
      await process.delete();
    };
    return await attend(process, flags, end);
  });
};

function dumpSpec(container: Container, path = ""): void {
  if (path === "") throw new CtrError("file name is required with --dump-config");
  writeFileSync(path, goJson(specOf(container), "  "));
}

export const start: CtrAction<typeof tasksStart> = async ({ flags, args: [id = ""], globals, host }) => {
  if (id === "") throw new CtrError("container id must be provided");
  return await withClient(globals, async (client) => {
    const container = await getContainer(client, id);
    const tty = specOf(container)?.process.terminal === true;
    using terminal = tty && !flags.detach ? enterRawMode(0) : undefined;
    void terminal;
    const io = ioFor(id, { ...flags, terminal: tty }, host);
    const process = await newTask(client, container, io, taskOptions(flags["no-pivot"]));
    return await attend(process, { ...flags, tty }, async () => {
      await process.delete();
    });
  });
};

export const exec: CtrAction<typeof tasksExec> = async ({
  flags,
  args: [id = "", ...command],
  globals,
  host,
  help,
}) => {
  const execId = flags["exec-id"] ?? "";
  if (execId === "") {
    await help();
    throw new CtrError('Required flag "exec-id" not set');
  }
  if (id === "" || command.length === 0) return await help();
  return await withClient(globals, async (client) => {
    const spec = specOf(await getContainer(client, id));
    if (spec === undefined) throw new CtrError(`container "${id}" has no spec`);
    await getProcess(client, id);
    const user = flags.user === undefined ? spec.process.user : resolveUser(flags.user, {});
    const inside = { ...spec.process, user, terminal: flags.tty, args: command, cwd: flags.cwd ?? spec.process.cwd };
    using terminal = flags.tty && !flags.detach ? enterRawMode(0) : undefined;
    void terminal;
    const io = ioFor(execId, { ...flags, "null-io": false, terminal: flags.tty }, host);
    const process = await execProcess(client, id, execId, inside, io);
    return await attend(process, flags, async () => {
      await process.delete();
    });
  });
};

export const attach: CtrAction = ({ args: [id = ""], globals, host }) =>
  withClient(globals, async (client) => {
    const container = await getContainer(client, id);
    const tty = specOf(container)?.process.terminal === true;
    using terminal = tty ? enterRawMode(0) : undefined;
    void terminal;
    const process = await attached(client, id, host);
    const exited = process.wait();
    process.connect({ started: true });
    const { status } = await followed(process, tty, exited);
    // Deleting is the affair of whoever started it, but one that has ended keeps nobody waiting.
    await process.delete().catch((error: unknown) => {
      if (!isCode(error, "notFound")) throw error;
    });
    return status;
  });

async function attached(client: Client, id: string, host: Host): Promise<Process> {
  const { io } = await getProcess(client, id);
  return await getProcess(client, id, "", { paths: io.paths, pump: new Pump(io.paths, ownStreams(host)) });
}

interface IoFlags {
  readonly "null-io": boolean;
  readonly "log-uri"?: string | undefined;
  readonly "fifo-dir"?: string | undefined;
  readonly detach: boolean;
  readonly terminal: boolean;
}

/** What a process is connected to: nothing, a log, or FIFOs; this program's own streams unless it leaves it behind. */
export function ioFor(id: string, flags: IoFlags, host: Host): ProcessIo {
  const { terminal, "null-io": none, "log-uri": log, "fifo-dir": directory } = flags;
  if (!terminal && none) {
    if (log !== undefined) throw new CtrError("can't set log-uri and null-io at the same time");
    return nullIo;
  }
  if (log !== undefined) {
    const uri = log.includes("://") ? log : `file://${log}`;
    return { paths: { stdin: "", stdout: uri, stderr: terminal ? "" : uri, terminal } };
  }
  const paths = makeFifos(id, { terminal, ...(directory === undefined ? {} : { directory }) });
  // Left behind, the FIFOs wait for whoever attaches.
  return flags.detach ? { paths } : { paths, pump: new Pump(paths, ownStreams(host)) };
}

function ownStreams(host: Host) {
  const stderr = (chunk: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      process.stderr.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  return { stdin: readShared(0, { keepAlive: false }), stdout: (chunk: Uint8Array) => host.out(chunk), stderr };
}

const taskOptions = (noPivot: boolean) =>
  noPivot ? { options: encodeAny("containerd.runc.v1.Options", RuncOptions, { noPivotRoot: true }) } : {};

interface AttendFlags {
  readonly detach: boolean;
  readonly tty: boolean;
  readonly "pid-file"?: string | undefined;
}

/** Starts a process and stays with it to its end, unless it is to be left behind. Gives the exit status. */
export async function attend(process: Process, flags: AttendFlags, end: () => Promise<void>): Promise<number> {
  const pidFile = flags["pid-file"];
  if (pidFile !== undefined) writeFileSync(pidFile, String(process.pid));
  if (flags.detach) {
    await startOrDelete(process);
    return 0;
  }
  // Asked before the start: an end that comes at once is not missed.
  const exited = process.wait();
  exited.catch(() => {});
  await startOrDelete(process);
  const { status } = await followed(process, flags.tty, exited);
  await end();
  return status;
}

/** A process that can't be put on the network doesn't start. */
async function attachOrDelete(network: HostNetwork, namespace: string, process: Process): Promise<void> {
  try {
    await network.attach(namespace, process.containerId, process.pid);
  } catch (error) {
    process.io.pump?.[Symbol.dispose]();
    await deleteTask(process, { force: true }).catch(() => {});
    throw error;
  }
}

async function startOrDelete(process: Process): Promise<void> {
  try {
    await process.start();
  } catch (error) {
    process.io.pump?.[Symbol.dispose]();
    await process.delete().catch(() => {});
    throw error;
  }
}

/** Passes signals or the terminal's size on until the process has ended. */
async function followed(
  process: Process,
  tty: boolean,
  exited: ReturnType<Process["wait"]>,
): ReturnType<Process["wait"]> {
  using passing = tty
    ? watchSize(0, ({ columns, rows }) => process.resize(columns, rows))
    : forwardSignals((signal) => process.kill(signal));
  void passing;
  return await exited;
}
