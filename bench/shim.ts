/**
 * What hull's shim adds to the OCI runtime: create → start → wait → delete through the task manager with a warm shim, with a cold one, and
 * the runtime alone driven by hand. Medians in milliseconds. Needs root, busybox-static and the runtime.
 *
 *   bun bench/shim.ts [runc|crun] [rounds] [command of a shim …]
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RuntimeFixture } from "../packages/engine/src/runtime/fixture.ts";
import type { TaskManager } from "../packages/engine/src/runtime/index.ts";
import { mountAll, unmount } from "../packages/sys/src/mount.ts";
import { becomeSubreaper, reap } from "../packages/sys/src/process.ts";
import { processEnd } from "../packages/sys/src/watch.ts";

const [binary = "runc", rounds = "30", ...shimCommand] = process.argv.slice(2);
const steps = ["create", "start", "wait", "delete"] as const;
type Times = Record<(typeof steps)[number], number>;

/** Time of each step, in milliseconds. */
async function timed(work: Record<(typeof steps)[number], () => Promise<unknown>>): Promise<Times> {
  const times: Times = { create: 0, start: 0, wait: 0, delete: 0 };
  for (const step of steps) {
    const before = performance.now();
    await work[step]();
    times[step] = performance.now() - before;
  }
  return times;
}

function report(name: string, all: readonly Times[]): void {
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
  const columns = steps.map((step) => `${step} ${median(all.map((times) => times[step])).toFixed(1)}`);
  const total = median(all.map((times) => steps.reduce((sum, step) => sum + times[step], 0)));
  console.log(`${name.padEnd(12)} total ${total.toFixed(1)}   ${columns.join("   ")}`);
}

async function byShim(tasks: TaskManager, fixture: RuntimeFixture): Promise<Times> {
  const { ctx } = fixture;
  const request = fixture.container("bench", ["true"]);
  let ended: Promise<unknown> | undefined;
  return await timed({
    create: () => tasks.create(ctx, request),
    start: () => {
      ended = tasks.wait(ctx, "bench");
      return tasks.start(ctx, "bench");
    },
    wait: async () => await ended,
    delete: () => tasks.delete(ctx, "bench"),
  });
}

async function byHand(fixture: RuntimeFixture): Promise<Times> {
  const request = fixture.container("hand", ["true"]);
  const { spec } = await fixture.options.containers.get(fixture.ctx, "hand");
  const bundle = join(fixture.directory, "hand");
  const run = async (...args: string[]) => {
    const argv = [binary, "--root", join(fixture.directory, "hand-state"), ...args];
    const status = await Bun.spawn(argv, { stdio: ["ignore", "ignore", "inherit"] }).exited;
    if (status !== 0) throw new Error(`"${argv.join(" ")}" failed with status ${status}`);
  };
  let pid = 0;
  return await timed({
    create: async () => {
      mkdirSync(join(bundle, "rootfs"), { recursive: true });
      writeFileSync(join(bundle, "config.json"), spec.value);
      mountAll(request.rootfs, join(bundle, "rootfs"));
      await run("create", "--bundle", bundle, "--pid-file", join(bundle, "pid"), "hand");
      pid = Number(readFileSync(join(bundle, "pid"), "utf8"));
    },
    start: () => run("start", "hand"),
    wait: async () => {
      await processEnd(pid);
      reap(pid);
    },
    delete: async () => {
      await run("delete", "hand");
      unmount(join(bundle, "rootfs"), { detach: true });
      rmSync(bundle, { recursive: true });
    },
  });
}

becomeSubreaper();
await using fixture = await RuntimeFixture.open();
const common = { ociRuntime: binary, ...(shimCommand.length > 0 ? { shimCommand } : {}) };
const warm = fixture.manager({ ...common, spareShims: 1 });
await warm.load();
await Bun.sleep(300);
const cold = fixture.manager({ ...common, spareShims: 0 });
const times = { byHand: [] as Times[], warm: [] as Times[], cold: [] as Times[] };
for (let round = 0; round < Number(rounds); round++) {
  times.byHand.push(await byHand(fixture));
  times.warm.push(await byShim(warm, fixture));
  times.cold.push(await byShim(cold, fixture));
}
report(`${binary} alone`, times.byHand);
report("warm shim", times.warm);
report("cold shim", times.cold);
