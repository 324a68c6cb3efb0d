/**
 * One container's whole life, by the engine in this process and by hand with the same OCI runtime, turn by turn. Runs under Bun and Node.
 *
 *   bun bench/programs/life.ts '{"folder": …, "archive": …, "rounds": 30}'
 *
 * By hand: the snapshot's mounts, `create`, `start`, the end by a descriptor of the process, `delete`, unmount; the spec is what the engine
 * makes of the same options, and the snapshot is made before. Prints the milliseconds of each round as JSON.
 */
import { createReadStream, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { Engine, type Image, type RunOptions } from "@hull/embed";
import { mountAll, unmount } from "@hull/sys/mount";
import { becomeSubreaper, reap } from "@hull/sys/process";
import { startProgram } from "@hull/sys/program";
import { processEnd } from "@hull/sys/watch";

export interface LifeOptions {
  readonly folder: string;
  readonly archive: string;
  readonly rounds: number;
  readonly runtime: string;
}

export interface LifeFigures {
  /** `run` as it is by default, with its output read. */
  readonly engine: number[];
  /** `run` without streams, as it is by hand. */
  readonly engineNull: number[];
  readonly hand: number[];
}

const { folder, archive, rounds, runtime } = JSON.parse(process.argv[2] ?? "") as LifeOptions;
/** So many lives before any is measured: a warm program is asked for. */
const warmUp = 10;
/** What a life leaves for later is not to be in the next one's time. */
const pauseMs = 40;

const command = ["/bin/true"];
const pause = () => new Promise((resolve) => setTimeout(resolve, pauseMs));

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function byEngine(hull: Engine, image: Image, options: RunOptions): Promise<void> {
  await using container = await hull.run(image, { command, ...options });
  if (options.stdout !== "ignore") await container.collect();
  const { code } = await container.exit;
  if (code !== 0) throw new Error(`/bin/true ended with ${code}`);
}

/** Drives the runtime; `bundle` has the spec. */
async function byHand(bundle: string, mounts: Parameters<typeof mountAll>[0]): Promise<void> {
  const rootfs = join(bundle, "rootfs");
  const pidFile = join(bundle, "pid");
  const run = async (...args: string[]): Promise<void> => {
    const argv = [runtime, "--root", join(folder, "hand-state"), ...args];
    const status = await startProgram(argv, { stdio: ["ignore", "ignore", 2] }).exited;
    if (status !== 0) throw new Error(`"${argv.join(" ")}" failed with status ${status}`);
  };
  mountAll(mounts, rootfs);
  await run("create", "--bundle", bundle, "--pid-file", pidFile, "hand");
  const pid = Number(readFileSync(pidFile, "utf8"));
  await run("start", "hand");
  await processEnd(pid);
  reap(pid);
  await run("delete", "hand");
  unmount(rootfs);
}

becomeSubreaper();
const config = { "io.containerd.runtime.v2.task": { oci_runtime: runtime } };
await using hull = await Engine.open({
  root: join(folder, "root"),
  state: join(folder, "state"),
  containers: "end",
  plugins: config,
});
const [image] = await hull.images.import(createReadStream(archive));
if (image === undefined) throw new Error(`there is no image in "${archive}"`);

const bundle = join(folder, "bundle");
mkdirSync(join(bundle, "rootfs"), { recursive: true });
const model = await hull.containers.create(image, { command });
writeFileSync(join(bundle, "config.json"), JSON.stringify(model.spec));
const snapshot = { snapshotter: "overlayfs", key: model.id };
const { mounts } = await hull.api.service(SnapshotsDefinition).mounts(snapshot);

const ignore = { stdout: "ignore", stderr: "ignore" } as const;
const figures: LifeFigures = { engine: [], engineNull: [], hand: [] };
for (let round = -warmUp; round < rounds; round++) {
  const turns: [keyof LifeFigures, () => Promise<void>][] = [
    ["hand", () => byHand(bundle, mounts)],
    ["engine", () => byEngine(hull, image, {})],
    ["engineNull", () => byEngine(hull, image, ignore)],
  ];
  // Each goes first as often: none always meets what another left behind.
  for (let turn = 0; turn < turns.length; turn++) {
    const [name, work] = turns[(turn + round + warmUp) % turns.length] ?? ["hand", async () => {}];
    await pause();
    const ms = await timed(work);
    if (round >= 0) figures[name].push(ms);
  }
}
await model.remove();
rmSync(bundle, { recursive: true });
console.log(JSON.stringify(figures));
