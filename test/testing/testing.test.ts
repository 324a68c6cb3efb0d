/** Containers of test suites, each suite with its daemon in a network namespace of the test's own. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { connect } from "@hull/client";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { startHull } from "../support/hull.ts";
import { noNetworks, openNetworkNamespace } from "../support/network-namespace.ts";
import { node, nodeEnvironment, noNode } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";
import { ways } from "./ways.ts";

const programs = {
  program: join(import.meta.dir, "program.ts"),
  victim: join(import.meta.dir, "victim.ts"),
};

/** How a test process ends. */
const ends: readonly (readonly [string, NodeJS.Signals | "leave"])[] = [
  ["is killed", "SIGKILL"],
  ["is interrupted", "SIGINT"],
  ["leaves without a word", "leave"],
];

for (const { name, why: lacking, runtime, start } of ways) {
  const why = noNetworks ?? lacking;
  const skipped = why === undefined ? "" : ` (skipped: ${why})`;

  /** What is the same for all: a folder, an image, a network, a daemon, and where temporary files go. */
  const open = async (stack: AsyncDisposableStack) => {
    const folder = stack.use(scratch());
    const network = stack.use(await openNetworkNamespace());
    const archive = folder.join("busybox.tar");
    writeBusyboxImage(archive, "docker.io/library/busybox:latest");
    const daemon = await start?.(folder.join("daemon"), network);
    if (daemon !== undefined) stack.use(daemon);
    const temporary = stack.use(scratch());
    const configurations = folder.join("cni");
    const env = {
      ...nodeEnvironment,
      HULL_SUBNET: network.subnet,
      TMPDIR: temporary.path,
      NETCONFPATH: configurations,
    };
    const made = join(configurations, "hull.d");
    const networks = () => (existsSync(made) ? readdirSync(made) : []);
    return { networks, network, args: [daemon?.address ?? "engine", archive], daemon, temporary, env };
  };

  test.skipIf(why !== undefined)(`a test suite's containers, by ${name}${skipped}`, async () => {
    await using stack = new AsyncDisposableStack();
    const { networks, network, args, env, temporary } = await open(stack);
    const { status, stdout, stderr } = await runProgram([...network.behind, ...runtime, programs.program, ...args], {
      env,
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "all well\n", stderr: "" });
    expect([readdirSync(temporary.path), networks()]).toEqual([[], []]);
  });

  // Ways to die are the kernel's: one place has all of them.
  for (const [what, signal] of start === undefined ? ends : ends.slice(0, 1))
    test.skipIf(why !== undefined)(`nothing is left when the test process ${what}, by ${name}${skipped}`, async () => {
      await using stack = new AsyncDisposableStack();
      const { networks, args, env, temporary, daemon } = await open(stack);
      const victim = Bun.spawn([...runtime, programs.victim, ...args, signal], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, ...env },
      });
      const pids = JSON.parse(await firstLine(victim.stdout)) as number[];
      expect([pids.map(lives), networks().length]).toEqual([[true, true], 1]);
      if (signal !== "leave") victim.kill(signal);
      await victim.exited;
      await emptied(temporary.path);
      expect([pids.map(lives), networks()]).toEqual([[false, false], []]);
      if (daemon === undefined) return;
      await using hull = await connect({ address: daemon.address });
      expect(await hull.containers.list()).toEqual([]);
    });
}

/** Node's test runner has an end when nothing goes on in the process any more. */
for (const place of ["daemon", "engine"]) {
  const why = noNode;
  test.skipIf(why !== undefined)(
    `Node's test runner ends by itself, with ${place === "engine" ? "an engine" : "a daemon"}${why === undefined ? "" : ` (skipped: ${why})`}`,
    async () => {
      await using stack = new AsyncDisposableStack();
      const folder = stack.use(scratch());
      const archive = folder.join("busybox.tar");
      writeBusyboxImage(archive, "docker.io/library/busybox:latest");
      const daemon = stack.use(await startHull(folder.join("daemon")));
      const temporary = stack.use(scratch());
      const { status, stdout } = await runProgram([node ?? "", "--test", join(import.meta.dir, "runner-file.ts")], {
        env: { ...nodeEnvironment, HULL_ADDRESS: daemon.address, IMAGE: archive, PLACE: place, TMPDIR: temporary.path },
      });
      expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining("pass 4") });
      await emptied(temporary.path);
      await using hull = await connect({ address: daemon.address });
      expect(await hull.containers.list()).toEqual([]);
    },
  );
}

/** Resolves when nothing is in a folder any more. */
async function emptied(folder: string): Promise<void> {
  const deadline = Date.now() + 80_000;
  while (readdirSync(folder).length > 0 && Date.now() < deadline) await Bun.sleep(50);
  expect(readdirSync(folder, { recursive: true })).toEqual([]);
}

const lives = (pid: number): boolean => existsSync(`/proc/${pid}`);

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("\n")) break;
  }
  return text;
}
