/**
 * Bytes through the standard input and output of `cat`, in a container by the engine, and as a child process of this one; turn by turn. Runs
 * under Bun and Node.
 *
 *   bun bench/programs/stream.ts '{"folder": …, "archive": …, "rounds": 3, "bytes": 268435456}'
 *
 * Both are written to in chunks of the same size, each when the one before has been taken, and read to the end. Then, in a container once more,
 * the reader waits: what the writer gets rid of meanwhile, and what this process grows by, says whether it is held back. Prints the rates in
 * MiB/s, and those figures in MiB, as JSON.
 */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { Engine, type Image } from "@hull/embed";
import { startProgram } from "@hull/sys/program";

export interface StreamOptions {
  readonly folder: string;
  readonly archive: string;
  readonly rounds: number;
  readonly bytes: number;
}

export interface StreamFigures {
  readonly container: number[];
  readonly pipe: number[];
  /** What was written while nobody read, and what the process grew by, in MiB. */
  readonly heldBack: { written: number; growth: number };
}

const { folder, archive, rounds, bytes } = JSON.parse(process.argv[2] ?? "") as StreamOptions;
const MiB = 1024 * 1024;
const chunk = new Uint8Array(256 * 1024).fill(0x61);
/** How long the reader that waits does. */
const restMs = 1500;

async function timed(work: () => Promise<number>): Promise<number> {
  const start = performance.now();
  const read = await work();
  if (read !== bytes) throw new Error(`${read} bytes came back, of ${bytes}`);
  return bytes / MiB / ((performance.now() - start) / 1000);
}

async function count(output: AsyncIterable<Uint8Array>): Promise<number> {
  let read = 0;
  for await (const { length } of output) read += length;
  return read;
}

async function byContainer(hull: Engine, image: Image): Promise<number> {
  await using container = await hull.run(image, { command: ["cat"], stdin: "pipe", stderr: "ignore" });
  return await timed(async () => {
    const reading = count(container.stdout);
    const writer = container.stdin.getWriter();
    for (let sent = 0; sent < bytes; sent += chunk.length) await writer.write(chunk);
    await writer.close();
    return await reading;
  });
}

async function byPipe(): Promise<number> {
  const child = startProgram(["/bin/busybox", "cat"], { stdio: ["pipe", "pipe", "ignore"] });
  return await timed(async () => {
    const reading = count(child.stdout);
    for (let sent = 0; sent < bytes; sent += chunk.length) {
      child.stdin.write(chunk);
      await child.stdin.flush();
    }
    await child.stdin.end();
    return await reading;
  });
}

async function heldBack(hull: Engine, image: Image): Promise<StreamFigures["heldBack"]> {
  await using container = await hull.run(image, { command: ["cat"], stdin: "pipe", stderr: "ignore" });
  const before = process.memoryUsage.rss();
  const writer = container.stdin.getWriter();
  let written = 0;
  let over = false;
  const writing = (async () => {
    while (!over) {
      await writer.write(chunk);
      written += chunk.length;
    }
    await writer.close();
  })();
  await new Promise((resolve) => setTimeout(resolve, restMs));
  const held = { written: written / MiB, growth: (process.memoryUsage.rss() - before) / MiB };
  over = true;
  await Promise.all([writing, count(container.stdout)]);
  return held;
}

await using hull = await Engine.open({
  root: join(folder, "root"),
  state: join(folder, "state"),
  containers: "end",
  plugins: { "io.containerd.runtime.v2.task": { oci_runtime: "runc" } },
});
const [image] = await hull.images.import(createReadStream(archive));
if (image === undefined) throw new Error(`there is no image in "${archive}"`);

const figures: StreamFigures = { container: [], pipe: [], heldBack: await heldBack(hull, image) };
for (let round = 0; round < rounds; round++) {
  figures.container.push(await byContainer(hull, image));
  figures.pipe.push(await byPipe());
}
console.log(JSON.stringify(figures));
