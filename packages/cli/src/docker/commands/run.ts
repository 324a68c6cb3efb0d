import type { Client } from "@hull/client/client";
import { type Container, specOf } from "@hull/client/containers";
import { logPlaceOf, prepareLog, removeLog } from "@hull/client/logs/place";
import { newTask, nullIo, type Process, type ProcessIo } from "@hull/client/tasks";
import { HullError, invalidArgument, isCode } from "@hull/errors";
import { parsePlatform } from "@hull/oci/platform";
import { attachedIo, letGo, runAttached } from "../attach.ts";
import { createFromFlags, removeIfThere, removeOwnFiles } from "../create.ts";
import { type Call, fifoDirectory, placeOf } from "../globals.ts";
import { labelNames } from "../labels.ts";
import { imageToRun, interrupted } from "../pull.ts";
import { expectToRun } from "../restart.ts";
import type { RunFlags } from "../run-flags.ts";
import { explain, openSession } from "../session.ts";
import { removeAnonymous } from "../volumes/users.ts";

/** What `docker run` ends with if it is hull that failed, or the command can't be run, or isn't there. */
const failed = 125;
const cannotRun = 126;
const notThere = 127;

/** `hull run`. Gives the container's exit status. */
export async function run(call: Call<RunFlags>): Promise<number> {
  try {
    return await runContainer(call);
  } catch (error) {
    call.host.err(`hull: ${explain(error, call.globals)}\n`);
    return statusOf(error);
  }
}

/** `hull create`: as run, without the start. */
export async function create(call: Call<RunFlags>): Promise<number> {
  await using client = await openSession(call);
  const { id } = await prepare(call, client, { starts: false });
  await call.host.out(`${id}\n`);
  return 0;
}

/** The exit status that stands for an error. */
export function statusOf(thrown: unknown): number {
  const { code, message } = HullError.from(thrown);
  if (code === "canceled") return interrupted;
  if (
    /executable file .*not found|no such file or directory.*(exec|unable to start)|(exec|start container process).*no such file/i.test(
      message,
    )
  )
    return notThere;
  if (
    /(exec|open executable|start container process).*(permission denied|is a directory|exec format error)/i.test(
      message,
    )
  )
    return cannotRun;
  return failed;
}

async function runContainer(call: Call<RunFlags>): Promise<number> {
  const { flags, host } = call;
  await using client = await openSession(call);
  const container = await prepare(call, client, { starts: true });
  try {
    if (flags.detach) {
      await startDetached(client, container, call);
      await host.out(`${container.id}\n`);
      return 0;
    }
    return await startAttached(client, container, call, { stdin: flags.interactive });
  } catch (error) {
    if (flags.rm) await discard(client, container, placeOf(call.globals));
    throw error;
  }
}

async function prepare(call: Call<RunFlags>, client: Client, { starts }: { starts: boolean }): Promise<Container> {
  const { flags, globals, host } = call;
  const [text, ...args] = call.args;
  if (text === undefined)
    throw invalidArgument('an image is needed: hull run [flags] IMAGE [COMMAND]; see "hull run --help"');
  const request = {
    client,
    host,
    snapshotter: globals.snapshotter,
    plainHttp: flags["plain-http"],
    quiet: flags.quiet,
    platform: flags.platform === undefined ? undefined : parsePlatform(flags.platform),
  };
  const { image, platformImage } = await imageToRun(request, text, flags.pull);
  return await createFromFlags({ call, client, image, platformImage, args, starts });
}

/** Starts a container that prints into its log. */
export async function startDetached(
  client: Client,
  container: Container,
  { globals }: Pick<Call, "globals">,
): Promise<void> {
  const io = detachedIo(container, globals);
  const task = await newTask(client, container, io);
  try {
    await task.start();
  } catch (error) {
    await task.delete().catch(() => {});
    throw error;
  }
  await expectToRun(client, container);
}

function detachedIo(container: Container, _globals: Call["globals"]): ProcessIo {
  const log = container.labels[labelNames.log];
  const place = logPlaceOf(container);
  if (log === undefined || place === undefined) return nullIo;
  prepareLog(place);
  const terminal = hasTerminal(container);
  return { paths: { stdin: "", stdout: log, stderr: terminal ? "" : log, terminal } };
}

/** True if the first process of the container has a terminal. */
export function hasTerminal(container: Container): boolean {
  return specOf(container)?.process.terminal === true;
}

/** Starts a container and stays with it. Gives its exit status. */
export async function startAttached(
  client: Client,
  container: Container,
  { globals }: Pick<Call, "globals">,
  { stdin }: { stdin: boolean },
): Promise<number> {
  const directory = fifoDirectory(placeOf(globals).address);
  const options = { terminal: hasTerminal(container), stdin, directory };
  const io = attachedIo(container.id.slice(0, 12), options);
  const task = await newTask(client, container, io);
  let status: number;
  try {
    status = await runAttached(task, options);
  } catch (error) {
    await dropTask(task);
    throw error;
  }
  if (container.labels[labelNames.autoRemove] === "true") await discard(client, container, placeOf(globals), task);
  else letGo(io);
  return status;
}

async function dropTask(task: Process): Promise<void> {
  letGo(task.io);
  await task.delete().catch(() => {});
}

/** Removes a container that has ended; the daemon may be doing the same. */
async function discard(
  client: Client,
  container: Container,
  { root }: { root: string },
  task?: Process,
): Promise<void> {
  try {
    await task?.delete();
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
  if (task !== undefined) letGo(task.io);
  await removeIfThere(client, container);
  removeLog(container);
  await removeOwnFiles(client, container, root);
  await removeAnonymous(client, container, root);
}
