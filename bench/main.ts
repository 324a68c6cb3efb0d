/**
 * The side-by-side benchmark: the same work on hull and on a real containerd, turn by turn in one run.
 *
 *   npm run bench [-- --quick] [-- --only run,import,pods,node,…] [-- --rounds 5] [-- --pods 110] [-- --ways REGEXP] [-- --markdown]
 *
 * Prints a table of medians and ratios (as Markdown, to paste into a guide, with `--markdown`) and writes `bench/results/<time>.json`.
 * `--ways` chooses among those of `streaming` (exec, attach, port-forward). Figures of a noisy machine mean little by themselves; the ratios
 * are what counts.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { mount } from "@hull/sys/mount";
import { writeBusyboxImage } from "../scripts/image.ts";
import { CriDaemon, writePodImages } from "../test/support/cri.ts";
import { scratch } from "../test/support/scratch.ts";
import { contentCases } from "./cases/content.ts";
import { footprintCase } from "./cases/footprint.ts";
import { importCase, writeLargeImage } from "./cases/import.ts";
import { latencyCase } from "./cases/latency.ts";
import { lifeCase } from "./cases/life.ts";
import { lifecycleCase } from "./cases/lifecycle.ts";
import { memoryCases } from "./cases/memory.ts";
import { nodeCases, podCases } from "./cases/pods.ts";
import { ratesCase } from "./cases/rates.ts";
import { runCase } from "./cases/run.ts";
import { makeContainers, startCase } from "./cases/start.ts";
import { streamCase } from "./cases/stream.ts";
import { streamingCase } from "./cases/streaming.ts";
import { startPeers } from "./peers.ts";
import { markdownTable, plainTable, type Table, table, tableOf, toJson } from "./report.ts";
import type { Sample } from "./sample.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    pods: { type: "string" },
    ways: { type: "string" },
    rounds: { type: "string" },
    markdown: { type: "boolean", default: false },
  },
});
const wanted = values.only?.split(",");
const wants = (name: string): boolean => wanted === undefined || wanted.includes(name);
const rounds = (count: number): number =>
  values.rounds === undefined ? (values.quick ? Math.max(3, Math.ceil(count / 5)) : count) : Number(values.rounds);
const image = "docker.io/library/busybox:latest";
const samples: Sample[] = [];
const tables: Table[] = [];
const step = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

using folder = scratch();
const archive = folder.join("busybox.tar");
writeBusyboxImage(archive, image);

if (wants("start")) {
  step("start of the daemons");
  {
    await using _peers = await startPeers(folder.join("s"));
  }
  const folders = { hull: folder.join("s", "h"), containerd: folder.join("s", "c") };
  samples.push(await startCase("daemon start, empty store", folders, rounds(15)));
  {
    await using peers = await startPeers(folder.join("s"));
    for (const peer of [peers.hull, peers.containerd]) {
      await peer.ctr("images", "import", archive);
      await makeContainers(peer, image, 500);
    }
  }
  samples.push(await startCase("daemon start, 500 containers", folders, rounds(10)));
}

if (["run", "lifecycle", "latency", "memory", "content", "import"].some(wants)) {
  await using peers = await startPeers(folder.join("p"));
  for (const peer of [peers.hull, peers.containerd]) await peer.ctr("images", "import", archive);

  if (wants("run")) {
    step("run --rm");
    const runc = ["--null-io", "--runc-binary", "/usr/sbin/runc"];
    const common = { image, rounds: rounds(25) };
    samples.push(
      await runCase("ctr run --rm /bin/true, runc", peers, { ...common, client: "ctr", flags: runc, target: 0.6 }),
    );
    samples.push(
      await runCase("ctr run --rm /bin/true, default runtime", peers, {
        ...common,
        client: "ctr",
        flags: ["--null-io"],
      }),
    );
    samples.push(await runCase("own CLI run --rm /bin/true, runc", peers, { ...common, client: "own", flags: runc }));
  }
  if (wants("lifecycle")) {
    for (const workers of [1, 4]) {
      step(`lives of containers, ${workers} at a time`);
      samples.push(
        await lifecycleCase(peers, {
          image,
          count: rounds(24),
          workers,
          rounds: 3,
          flags: ["--runc-binary", "/usr/sbin/runc"],
        }),
      );
    }
  }
  if (wants("latency")) {
    step("unary calls");
    samples.push(await latencyCase(peers, values.quick ? 1000 : 5000));
  }
  if (wants("memory")) {
    step("memory");
    samples.push(...(await memoryCases(peers, image, 20)));
  }
  if (wants("content")) {
    step("content");
    const file = folder.join("blob");
    writeFileSync(file, Buffer.alloc(512 * 1024 * 1024, crypto.getRandomValues(new Uint8Array(65521))));
    samples.push(...(await contentCases(peers, file, rounds(5))));
  }
  if (wants("import")) {
    const large = folder.join("large.tar");
    step("making an image of about 1 GB");
    writeLargeImage(folder.path, large, "docker.io/bench/large:latest", { files: 20_000, bytes: 950e6 });
    step("import");
    samples.push(
      await importCase((round) => startPeers(folder.join(`import-${round}`)), {
        archive: large,
        rounds: rounds(5),
        target: 0.4,
      }),
    );
  }
}

if (["pods", "node", "streaming"].some(wants)) {
  const images = folder.join("pods.tar");
  writePodImages(images);
  const data = folder.join("pattern");
  mkdirSync(data);
  // Mounted before there are machines, which have this machine's mounts.
  if (wants("streaming")) mount({ type: "tmpfs", source: "tmpfs", target: data });
  await using hull = await CriDaemon.start("hull", folder.join("n", "h"), images);
  await using containerd = await CriDaemon.start("containerd", folder.join("n", "c"), images);
  const nodes = { hull, containerd };
  if (wants("pods")) {
    step("pods");
    samples.push(...(await podCases(nodes, rounds(25))));
  }
  if (wants("node")) {
    const pods = Number(values.pods ?? (values.quick ? 10 : 110));
    step(`a node of ${pods} pods`);
    samples.push(
      ...(await nodeCases(nodes, { pods, seconds: values.quick ? 10 : 30, restMs: values.quick ? 4000 : 20_000 })),
    );
  }
  if (wants("streaming")) {
    step("exec, attach and port-forward");
    const bytes = (values.quick ? 256 : 1024) * 2 ** 20;
    tables.push(
      await streamingCase(nodes, {
        bytes,
        data,
        rounds: rounds(5),
        only: values.ways === undefined ? undefined : new RegExp(values.ways),
      }),
    );
  }
}

if (wants("engine")) {
  step("the engine in a program, and an OCI runtime driven by hand");
  tables.push(await lifeCase(folder, archive, rounds(40)));
}
if (wants("stream")) {
  step("bytes through a container");
  tables.push(
    await streamCase(folder, { archive, rounds: rounds(5), bytes: values.quick ? 128 * 2 ** 20 : 1024 * 2 ** 20 }),
  );
}
if (wants("rates")) {
  step("lives of containers, 8 at a time");
  tables.push(
    await ratesCase(folder, { archive, image, count: rounds(200), workers: 8, restMs: values.quick ? 500 : 3000 }),
  );
}
if (wants("footprint")) {
  step("start and memory of programs");
  tables.push(await footprintCase(folder, rounds(10)));
}

const shown = values.markdown
  ? [...(samples.length > 0 ? [tableOf(samples)] : []), ...tables].map(markdownTable)
  : [...(samples.length > 0 ? [table(samples)] : []), ...tables.map(plainTable)];
console.log(shown.join("\n\n"));
const machine = { cpus: cpus().length, model: cpus()[0]?.model, kernel: release(), bun: Bun.version };
const results = join(import.meta.dir, "results");
mkdirSync(results, { recursive: true });
const file = join(results, `${new Date().toISOString().replaceAll(":", "-")}.json`);
writeFileSync(file, toJson(samples, tables, machine));
step(`figures in ${file}`);
