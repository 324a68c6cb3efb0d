import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { jsonTypes } from "@hull/api/typeurl";
import { HullError } from "@hull/errors";
import { Descriptor, open, openFlags, read } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import { Pace } from "@hull/sys/pace";
import type { Container } from "../containers/index.ts";
import type { Context } from "../context.ts";
import type { TaskManager } from "../runtime/index.ts";
import { unlessGone } from "../unless-gone.ts";
import type { Probe } from "./config.ts";
import type { HealthResult } from "./record.ts";

export interface CheckOptions {
  readonly tasks: Pick<TaskManager, "exec" | "start" | "wait" | "kill" | "deleteProcess">;
  /** Directory for FIFOs; made where it is missing. */
  readonly directory: string;
}

const SIGKILL = 9;
/** Bytes of its output that are kept. */
const most = 4096;
/** Milliseconds that output is waited for after the end: others may have it open. */
const drain = 500;

/** Runs a check in a container that runs, as its first process' user and in its environment. Fails for nothing: what goes wrong is its result. */
export async function check(
  options: CheckOptions,
  ctx: Context,
  container: Pick<Container, "id" | "spec">,
  probe: Pick<Probe, "args" | "timeout">,
): Promise<HealthResult> {
  const start = new Date();
  const result = (ExitCode: number, Output: string): HealthResult => ({
    Start: start.toISOString(),
    End: new Date().toISOString(),
    ExitCode,
    Output,
  });
  try {
    const { exitStatus, output } = await run(options, ctx, container, probe);
    if (exitStatus === undefined) return result(-1, `Health check exceeded timeout (${timeText(probe.timeout)})`);
    return result(exitStatus, output);
  } catch (error) {
    return result(-1, HullError.from(error).message);
  }
}

const timeText = (milliseconds: number): string =>
  milliseconds < 1000 ? `${milliseconds}ms` : `${milliseconds / 1000}s`;

/** No exit status: it was killed, since it took too long. */
async function run(
  { tasks, directory }: CheckOptions,
  ctx: Context,
  { id, spec }: Pick<Container, "id" | "spec">,
  { args, timeout }: Pick<Probe, "args" | "timeout">,
): Promise<{ exitStatus: number | undefined; output: string }> {
  await using undo = new AsyncDisposableStack();
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const execId = `health-${randomBytes(16).toString("hex")}`;
  const path = join(directory, execId);
  makeFifo(path, 0o600);
  undo.defer(() => rmSync(path, { force: true }));
  const fifo = undo.use(new Descriptor(open(path, openFlags.readOnly | openFlags.nonBlocking)));
  const { process } = JSON.parse(new TextDecoder().decode(spec.value)) as { process: object };
  const value = Buffer.from(JSON.stringify({ ...process, args, terminal: false }));
  const io = { terminal: false, stdin: "", stdout: path, stderr: path };
  await tasks.exec(ctx, { id, execId, ...io, spec: { typeUrl: jsonTypes.process, value } });
  undo.defer(async () => void (await unlessGone(() => tasks.deleteProcess(ctx, id, execId))));
  const exit = tasks.wait(ctx, id, execId);
  exit.catch(() => {});
  await tasks.start(ctx, id, execId);
  const stop = new AbortController();
  const output = collect(fifo.fd, stop.signal);
  const late = new Promise<undefined>((resolve) => {
    const timer = setTimeout(resolve, timeout);
    undo.defer(() => clearTimeout(timer));
  });
  const ended = await Promise.race([exit, late]);
  if (ended === undefined) {
    await unlessGone(() => tasks.kill(ctx, id, { execId, signal: SIGKILL }));
    await exit;
  }
  const timer = setTimeout(() => stop.abort(), drain);
  const text = await output;
  clearTimeout(timer);
  return { exitStatus: ended?.exitStatus, output: text };
}

/** Reads to the end, or until that is no longer waited for; keeps the first bytes. */
async function collect(fd: number, signal: AbortSignal): Promise<string> {
  const kept = Buffer.alloc(most);
  const buffer = new Uint8Array(most);
  const pace = new Pace(fd, "read", { signal, keepAlive: false });
  let size = 0;
  try {
    for (let count = read(fd, buffer); count !== 0; count = read(fd, buffer)) {
      if (count === undefined) {
        await pace.wait();
        continue;
      }
      const part = buffer.subarray(0, Math.min(count, most - size));
      kept.set(part, size);
      size += part.length;
      await pace.moved(count);
      signal.throwIfAborted();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return kept.toString("utf8", 0, size);
}
