import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { ServiceClient } from "@hull/api/rpc";
import type { Client } from "@hull/client/client";
import { type Container, getContainer, removeContainer } from "@hull/client/containers";
import { removeFifos } from "@hull/client/io/fifos";
import { removeLog } from "@hull/client/logs/place";
import { deleteTask, type Exit, getProcess, type Process } from "@hull/client/tasks";
import { deadlineExceeded, failedPrecondition, invalidArgument, isCode } from "@hull/errors";
import { removeOwnFiles } from "../create.ts";
import { findContainer, nameOf, needArguments } from "../find.ts";
import { type Call, placeOf } from "../globals.ts";
import { labelNames } from "../labels.ts";
import { expectToStop } from "../restart.ts";
import { explain, openSession } from "../session.ts";
import { parseSignal } from "../signals.ts";
import { stateOf } from "../state.ts";
import { removeAnonymous } from "../volumes/users.ts";
import { startAttached, startDetached, statusOf } from "./run.ts";

const SIGTERM = 15;
const SIGKILL = 9;
/** Seconds that a container has to end before it is killed. */
const defaultStopTimeout = 10;

/**
 * Does the same to each container that the arguments name, at the same time; prints what `work` gives, or the argument, in their order.
 * What fails is printed and makes the status 1; the others go on.
 */
export async function forEach(
  call: Call,
  work: (client: Client, container: Container) => Promise<string | undefined>,
): Promise<number> {
  const { args, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "a container is");
  await using client = await openSession(call);
  const results = await Promise.allSettled(
    [...new Set(args)].map(async (key) => (await work(client, await findContainer(client, key))) ?? key),
  );
  let status = 0;
  for (const result of results) {
    if (result.status === "fulfilled") await host.out(`${result.value}\n`);
    else {
      host.err(`hull: ${explain(result.reason, globals)}\n`);
      status = 1;
    }
  }
  return status;
}

/** The first process of a container, undefined if it has no task. */
async function taskOf(client: Client, { id }: Container): Promise<Process | undefined> {
  try {
    return await getProcess(client, id);
  } catch (error) {
    if (isCode(error, "notFound")) return undefined;
    throw error;
  }
}

const tasksOf = (client: Client): ServiceClient<TasksDefinition> => client.service(TasksDefinition);

/** `hull stop` */
export function stop(call: Call<{ time: number | undefined; signal: string | undefined }>): Promise<number> {
  const { time, signal } = call.flags;
  const wished = signal === undefined ? undefined : parseSignal(signal);
  return forEach(call, async (client, container) => {
    await stopContainer(client, container, { time, signal: wished });
    return undefined;
  });
}

interface StopWishes {
  /** Seconds. */
  readonly time: number | undefined;
  readonly signal: number | undefined;
}

async function stopContainer(client: Client, container: Container, { time, signal }: StopWishes): Promise<void> {
  const { status } = await stateOf(client, container.id);
  const task = status === "running" || status === "paused" ? await taskOf(client, container) : undefined;
  await expectToStop(client, container);
  if (task === undefined) return;
  const { labels } = container;
  const seconds = time ?? Number(labels[labelNames.stopTimeout] ?? defaultStopTimeout);
  await stopTask(task, signal ?? Number(labels[labelNames.stopSignal] ?? SIGTERM), seconds);
}

/** `hull restart`: as stop and start. */
export function restart(call: Call<{ time: number | undefined; signal: string | undefined }>): Promise<number> {
  const { time, signal } = call.flags;
  const wished = signal === undefined ? undefined : parseSignal(signal);
  return forEach(call, async (client, container) => {
    await stopContainer(client, container, { time, signal: wished });
    await dropEndedTask(client, container);
    await startDetached(client, await getContainer(client, container.id), call);
    return undefined;
  });
}

/** Asks a process to end, and kills it with all of its container if it hasn't after so many seconds; below zero it has all the time. */
async function stopTask(task: Process, signal: number, seconds: number): Promise<void> {
  const giveUp = new AbortController();
  const timer = seconds < 0 ? undefined : setTimeout(() => giveUp.abort(deadlineExceeded("too late")), seconds * 1000);
  try {
    const ended = task.wait({ signal: giveUp.signal });
    ended.catch(() => {});
    await unlessEnded(task.kill(signal));
    await ended;
  } catch (error) {
    if (!giveUp.signal.aborted) {
      if (isCode(error, "notFound")) return;
      throw error;
    }
    const ended = task.wait();
    ended.catch(() => {});
    await unlessEnded(task.kill(SIGKILL, { all: true }));
    await unlessEnded(ended);
  } finally {
    clearTimeout(timer);
  }
}

async function unlessEnded(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}

/** `hull kill` */
export function kill(call: Call<{ signal: string }>): Promise<number> {
  const signal = parseSignal(call.flags.signal);
  return forEach(call, async (client, container) => {
    const task = await runningTask(client, container);
    // Other signals, such as SIGHUP, need not mean its end.
    if (signal === SIGKILL || signal === Number(container.labels[labelNames.stopSignal] ?? SIGTERM))
      await expectToStop(client, container);
    await task.kill(signal);
    return undefined;
  });
}

/** The process of a container that runs. @throws FailedPrecondition */
export async function runningTask(client: Client, container: Container): Promise<Process> {
  const { status } = await stateOf(client, container.id);
  const task = status === "running" || status === "paused" ? await taskOf(client, container) : undefined;
  if (task === undefined)
    throw failedPrecondition(
      `container "${nameOf(container)}" is not running: start it with hull start ${nameOf(container)}`,
    );
  return task;
}

/** `hull pause`, `hull unpause` */
export function pause(call: Call): Promise<number> {
  return forEach(call, async (client, container) => {
    await runningTask(client, container);
    await tasksOf(client).pause({ containerId: container.id });
    return undefined;
  });
}

export function unpause(call: Call): Promise<number> {
  return forEach(call, async (client, container) => {
    await runningTask(client, container);
    await tasksOf(client).resume({ containerId: container.id });
    return undefined;
  });
}

/** `hull wait`: prints exit statuses. */
export function wait(call: Call): Promise<number> {
  return forEach(call, async (client, container) => {
    const task = await taskOf(client, container);
    if (task === undefined)
      throw failedPrecondition(`container "${nameOf(container)}" was not started: there is nothing to wait for`);
    return String((await task.wait()).status);
  });
}

/** `hull rm` */
export function rm(call: Call<{ force: boolean; volumes: boolean }>): Promise<number> {
  return forEach(call, async (client, container) => {
    const { status } = await stateOf(client, container.id);
    if ((status === "running" || status === "paused") && !call.flags.force)
      throw failedPrecondition(
        `container "${nameOf(container)}" is ${status}: stop it first (hull stop ${nameOf(container)}), or force it with -f`,
      );
    await remove(client, container, placeOf(call.globals).root);
    if (call.flags.volumes) await removeAnonymous(client, container, placeOf(call.globals).root);
    return undefined;
  });
}

/** Takes a container away with all that belongs to it, whatever it is doing. */
export async function remove(client: Client, container: Container, root: string): Promise<void> {
  await expectToStop(client, container);
  const task = await taskOf(client, container);
  if (task !== undefined) await unlessEnded(deleteTask(task, { force: true }));
  await unlessEnded(removeContainer(client, container));
  removeLog(container);
  await removeOwnFiles(client, container, root);
}

/** `hull start` */
export async function start(call: Call<{ attach: boolean; interactive: boolean }>): Promise<number> {
  const { args, flags, globals, host } = call;
  if (!flags.attach && !flags.interactive)
    return await forEach(call, async (client, container) => {
      const { status } = await stateOf(client, container.id);
      if (status === "running") return undefined;
      await dropEndedTask(client, container);
      await startDetached(client, container, call);
      return undefined;
    });
  if (args.length !== 1) throw invalidArgument("with -a or -i, start takes one container");
  await using client = await openSession(call);
  try {
    const container = await findContainer(client, args[0] ?? "");
    await dropEndedTask(client, container);
    return await startAttached(client, await getContainer(client, container.id), call, { stdin: flags.interactive });
  } catch (error) {
    host.err(`hull: ${explain(error, globals)}\n`);
    return statusOf(error);
  }
}

/** A container has one task: what is left of its last run makes room. @throws FailedPrecondition if it runs */
async function dropEndedTask(client: Client, container: Container): Promise<Exit | undefined> {
  const { status } = await stateOf(client, container.id);
  if (status === "running" || status === "paused")
    throw failedPrecondition(`container "${nameOf(container)}" is ${status} already`);
  const task = await taskOf(client, container);
  if (task === undefined) return undefined;
  removeFifos(task.io.paths);
  return await task.delete();
}
