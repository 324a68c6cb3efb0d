/**
 * Runs a pipeline: each step in a container of its own, on its own copy of the repository.
 *
 *   steps that it needs have passed ──► copy, their artifacts ──► services are ready ──► script ──► artifacts are kept
 */
import { cp, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Hull, Process, RunningContainer } from "@hull/client";
import type { Pipeline, Service, Step } from "./pipeline.ts";

export interface RunOptions {
  readonly repository: string;
  /** Folder where artifacts are kept, each step's in one of its name. */
  readonly artifacts: string;
  /** Each line of each step, as it comes; `source` is the step, or `step/service`. */
  readonly onLine: (source: string, line: string) => void;
  readonly signal?: AbortSignal;
}

export interface StepResult {
  readonly outcome: "passed" | "failed" | "timeout" | "skipped";
  readonly ms: number;
  /** Why, if it is none of the script's doing. */
  readonly reason?: string;
}

export type PipelineResult = Readonly<Record<string, StepResult>>;

const readyMs = 30_000;

/** Never fails for what a step does: that is in the result. */
export async function runPipeline(hull: Hull, { steps }: Pipeline, options: RunOptions): Promise<PipelineResult> {
  const running = new Map<string, Promise<StepResult>>();
  const start = (name: string): Promise<StepResult> => {
    const known = running.get(name);
    if (known !== undefined) return known;
    const step = steps[name];
    if (step === undefined) throw new TypeError(`there is no step "${name}"`);
    const result = (async (): Promise<StepResult> => {
      const needed = await Promise.all((step.needs ?? []).map(start));
      if (needed.some(({ outcome }) => outcome !== "passed")) return { outcome: "skipped", ms: 0 };
      const since = performance.now();
      const ended = await runStep(hull, name, step, options).catch((error: unknown) => ({
        outcome: "failed" as const,
        reason: error instanceof Error ? error.message : String(error),
      }));
      return { ...ended, ms: Math.round(performance.now() - since) };
    })();
    running.set(name, result);
    return result;
  };
  const names = Object.keys(steps);
  const results = await Promise.all(names.map(start));
  return Object.fromEntries(names.flatMap((name, at) => results.slice(at, at + 1).map((result) => [name, result])));
}

async function runStep(
  hull: Hull,
  name: string,
  step: Step,
  { repository, artifacts, onLine, signal }: RunOptions,
): Promise<Omit<StepResult, "ms">> {
  const { image, script, env, needs = [], services = {}, timeout = 600, memory = 1 << 30 } = step;
  await using stack = new AsyncDisposableStack();
  const source = await mkdtemp(join(tmpdir(), "ci-"));
  stack.defer(() => rm(source, { recursive: true, force: true }));
  await cp(repository, source, { recursive: true, verbatimSymlinks: true });
  for (const needed of needs) await addArtifacts(join(artifacts, needed), source);

  // They share one network, which has nothing but its own loopback.
  let network: "none" | { namespace: string } = "none";
  for (const [service, definition] of Object.entries(services)) {
    const container = await startService(hull, definition, network);
    stack.use(container);
    network = { namespace: `/proc/${container.pid}/ns/net` };
    void say(container, (line) => onLine(`${name}/${service}`, line));
    await untilReady(container, service, definition, signal);
  }

  const deadline = AbortSignal.timeout(timeout * 1000);
  const late = { outcome: "timeout", reason: `took longer than ${timeout} s` } as const;
  const started = hull.run(image, {
    entrypoint: ["sh", "-ec", script],
    cwd: "/src",
    env: { CI: "true", ...env },
    mounts: [{ type: "bind", source, target: "/src" }],
    network,
    memory,
    pids: 1024,
    signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
  });
  const container = await started.catch((error: unknown) => {
    if (!deadline.aborted) throw error;
  });
  if (container === undefined) return late;
  stack.use(container);
  const [{ code }] = await Promise.all([container.exit, say(container, (line) => onLine(name, line))]);
  if (deadline.aborted) return late;
  if (code !== 0) return { outcome: "failed", reason: `ended with status ${code}` };
  for (const path of step.artifacts ?? []) await keep(source, path, join(artifacts, name));
  return { outcome: "passed" };
}

const startService = (
  hull: Hull,
  { image, command, env }: Service,
  network: "none" | { namespace: string },
): Promise<RunningContainer> =>
  hull.run(image, { network, ...(command === undefined ? {} : { command }), ...(env === undefined ? {} : { env }) });

async function untilReady(
  container: RunningContainer,
  name: string,
  { ready }: Service,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (ready === undefined) return;
  let ended = false;
  void container.exit.then(() => {
    ended = true;
  });
  for (const end = performance.now() + readyMs; performance.now() < end; await delay(100, undefined, { signal })) {
    if (ended) throw new Error(`service "${name}" ended before it was ready`);
    await using asked = await container.exec(ready, { stdout: "ignore", stderr: "ignore" });
    if ((await asked.exit).code === 0) return;
  }
  throw new Error(`service "${name}" is not ready after ${readyMs / 1000} s`);
}

/** All that a process says, line by line. */
async function say(process: Process, onLine: (line: string) => void): Promise<void> {
  const each = async (lines: AsyncIterable<string>): Promise<void> => {
    for await (const line of lines) onLine(line);
  };
  await Promise.all([each(process.stdout.lines()), each(process.stderr.lines())]).catch(() => {
    // It was taken away while it spoke.
  });
}

/** @throws Error for what isn't there, or lies elsewhere behind a link */
async function keep(source: string, path: string, folder: string): Promise<void> {
  const from = join(source, path);
  const inside = relative(await realpath(source), await realpath(from).catch(() => missing(path)));
  if (inside === ".." || inside.startsWith(`..${sep}`)) throw new Error(`artifact "${path}" lies outside of /src`);
  const to = join(folder, relative(source, from));
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to, { recursive: true, verbatimSymlinks: true });
}

function missing(path: string): never {
  throw new Error(`artifact "${path}" has not been made`);
}

async function addArtifacts(folder: string, source: string): Promise<void> {
  // A step without artifacts has no folder.
  await mkdir(folder, { recursive: true });
  await cp(folder, source, { recursive: true, verbatimSymlinks: true });
}
