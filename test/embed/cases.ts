/** What an engine in a program promises about its root and its containers, each as a function that fails by throwing, under Bun and under Node. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Engine } from "@hull/embed";
import { HullError } from "@hull/errors";
import { mountInfo } from "@hull/sys/mount";
import { openEngine } from "./open.ts";

export interface CaseContext {
  /** A root of the case's own, not there yet. */
  readonly root: string;
  /** An archive with an image of busybox. */
  readonly archive: string;
}

export interface Case {
  readonly name: string;
  run(context: CaseContext): Promise<void>;
}

const sleeping = { command: ["sleep", "1000"], stdout: "ignore", stderr: "ignore" } as const;

export const cases: readonly Case[] = [
  {
    name: "a root, and a state, have one owner",
    async run({ root }) {
      const first = await openEngine(root);
      const inUse = new RegExp(`is in use by process ${process.pid} \\(this one\\)`);
      const refused = await failureOf(openEngine(root));
      assert.equal(refused.code, "failedPrecondition");
      assert.match(refused.message, inUse);
      const { Engine } = await import("@hull/embed");
      assert.match((await failureOf(Engine.open({ root: `${root}.other`, state: `${root}.state` }))).message, inUse);
      assert.deepEqual(await first.images.list(), []);
      await first[Symbol.asyncDispose]();
      await using again = await openEngine(root);
      assert.deepEqual(await again.images.list(), []);
    },
  },
  {
    name: "another process that has the root is named, and its death frees it",
    async run({ root }) {
      await using holder = await startVictim(root, "keep", "hold");
      const { code, message } = await failureOf(openEngine(root));
      assert.equal(code, "failedPrecondition");
      assert.ok(message.includes(`"${root}" is in use by process ${holder.pid} (`), message);
      await holder.kill();
      await using engine = await openEngine(root);
      assert.deepEqual(await engine.containers.list(), []);
    },
  },
  {
    name: "a program ends that closes its engine at once",
    async run({ root }) {
      for (let round = 0; round < 2; round++) {
        await using program = await startVictim(root, "keep", "close");
        assert.equal(await program.ended, 0);
      }
    },
  },
  {
    name: "containers go on without the engine, and are known again",
    async run({ root, archive }) {
      const before = await openEngine(root);
      await before.images.import(createReadStream(archive));
      const { pid } = await before.run("busybox", { id: "on", ...sleeping });
      await before.run("busybox", { ...sleeping, id: "ended", command: ["sh", "-c", `sleep 0.2; : ${root}; exit 3`] });
      await before[Symbol.asyncDispose]();
      assert.ok(isThere(pid));
      await until(() => processesOf(root, "exit 3").length === 0);
      await using after = await openEngine(root);
      const on = await after.containers.get("on");
      assert.deepEqual(await on.state(), { status: "running", pid });
      const ended = await (await after.containers.get("ended")).state();
      assert.equal(ended.status === "stopped" && ended.code, 3);
      await removeAll(after);
      await nothingLeft(after, root);
      assert.ok(!isThere(pid));
    },
  },
  {
    name: "containers end with the engine, if they are to, in all namespaces",
    async run({ root, archive }) {
      const engine = await openEngine(root, "end");
      await engine.images.import(createReadStream(archive));
      const other = engine.withNamespace("other");
      await other.images.import(createReadStream(archive));
      const started = [await engine.run("busybox", sleeping), await other.run("busybox", sleeping)];
      await engine[Symbol.asyncDispose]();
      for (const { exit, pid } of started) {
        assert.equal((await exit).code, 137);
        assert.ok(!isThere(pid));
      }
      await using after = await openEngine(root);
      await nothingLeft(after, root);
      await nothingLeft(after.withNamespace("other"), root);
    },
  },
  {
    name: "the next opening ends what a crash left, or knows it again",
    async run({ root, archive }) {
      {
        await using engine = await openEngine(root);
        await engine.images.import(createReadStream(archive));
      }
      for (const containers of ["keep", "end"] as const) {
        const victim = await startVictim(root, containers, "start");
        await victim.kill();
        assert.ok(isThere(victim.told));
        await using engine = await openEngine(root, containers);
        const left = await engine.containers.list();
        assert.deepEqual(
          left.map(({ id }) => id),
          containers === "keep" ? ["left"] : [],
        );
        assert.equal(isThere(victim.told), containers === "keep");
        for (const one of left) assert.equal((await one.state()).status, "running");
        await removeAll(engine);
        await nothingLeft(engine, root);
      }
    },
  },
  {
    name: "the next opening puts right what a crash interrupted",
    async run({ root, archive }) {
      {
        await using engine = await openEngine(root);
        await engine.images.import(createReadStream(archive));
      }
      for (const ms of [0, 250, 900]) {
        const victim = await startVictim(root, "keep", "work", archive);
        await new Promise((resolve) => setTimeout(resolve, ms));
        await victim.kill();
        await using engine = await openEngine(root);
        for (const one of await engine.containers.list()) await one.state();
        await removeAll(engine);
        await using container = await engine.run("busybox", { id: "a", command: ["echo", "well"] });
        assert.equal((await container.collect()).stdout, "well\n");
        await container[Symbol.asyncDispose]();
        await nothingLeft(engine, root);
      }
    },
  },
  {
    name: "two engines of one program are apart",
    async run({ root, archive }) {
      await using one = await openEngine(`${root}.1`);
      await using two = await openEngine(`${root}.2`, "end");
      await Promise.all([one, two].map((engine) => engine.images.import(createReadStream(archive))));
      const hello = async (engine: Engine, word: string) => {
        await using container = await engine.run("busybox", { id: "same", command: ["echo", word] });
        return (await container.collect()).stdout;
      };
      assert.deepEqual(await Promise.all([hello(one, "1"), hello(two, "2")]), ["1\n", "2\n"]);
      const kept = await one.run("busybox", { id: "same", ...sleeping });
      await two.run("busybox", { id: "same", ...sleeping });
      await two[Symbol.asyncDispose]();
      assert.equal((await (await one.containers.get("same")).state()).status, "running");
      await kept[Symbol.asyncDispose]();
      await nothingLeft(one, `${root}.1`);
    },
  },
  {
    name: "closing ends what waits, and what follows",
    async run({ root, archive }) {
      const engine = await openEngine(root);
      await engine.images.import(createReadStream(archive));
      const container = await engine.run("busybox", sleeping);
      const waiting = [
        container.exit,
        Array.fromAsync(engine.events()),
        engine.run("busybox", { command: ["true"] }),
      ].map((work) => failureOf(work));
      await engine[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
      const following = [engine.images.list(), engine.run("busybox"), container.kill(), container.exec(["true"])];
      for (const { code, message } of await Promise.all([...waiting, ...following.map((work) => failureOf(work))]))
        assert.deepEqual([code, message], ["unavailable", `the engine on "${root}" has been closed`]);
      await using again = await openEngine(root);
      await removeAll(again);
      await nothingLeft(again, root);
    },
  },
  {
    name: "disposing of containers and engine by scope leaves nothing",
    async run({ root, archive }) {
      let pid = 0;
      {
        await using engine = await openEngine(root);
        await engine.images.import(createReadStream(archive));
        await using container = await engine.run("busybox", sleeping);
        await using exec = await container.exec(["sleep", "1000"], { stdout: "ignore", stderr: "ignore" });
        pid = container.pid;
        assert.ok(isThere(pid) && isThere(exec.pid));
      }
      assert.ok(!isThere(pid));
      await until(() => processesOf(root).length === 0);
      await using after = await openEngine(root);
      await nothingLeft(after, root);
    },
  },
];

async function failureOf(work: Promise<unknown>): Promise<HullError> {
  const failure = await work.then(
    (value) => `it went well: ${value}`,
    (error: unknown) => error,
  );
  assert.ok(failure instanceof HullError, String(failure));
  return failure;
}

interface Victim extends AsyncDisposable {
  readonly pid: number;
  /** The number that it said: of its container's process. */
  readonly told: number;
  readonly ended: Promise<number>;
  /** As a crash would. Resolves when it has ended. */
  kill(): Promise<void>;
}

/** Starts a program with an engine, by the runtime that this is. Resolves when it is so far. */
async function startVictim(root: string, ...args: string[]): Promise<Victim> {
  const program = fileURLToPath(new URL("victim.ts", import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [program, root, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit").then(([code]) => code ?? -1);
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  const [said] = await Promise.race([once(child.stdout ?? child, "data"), ended.then(() => [])]);
  return { pid: child.pid ?? 0, told: Number.parseInt(String(said), 10), ended, kill, [Symbol.asyncDispose]: kill };
}

async function removeAll(engine: Engine): Promise<void> {
  for (const container of await engine.containers.list()) await container.remove({ force: true });
}

/** Nothing of containers: no record, no snapshot to write to, no process, no mount. */
async function nothingLeft(hull: Pick<Engine, "containers" | "snapshots">, root: string): Promise<void> {
  assert.deepEqual(await hull.containers.list(), []);
  const active = [];
  for await (const { name, kind } of hull.snapshots.list()) if (kind === "active") active.push(name);
  assert.deepEqual(active, []);
  assert.deepEqual(
    mountInfo()
      .map(({ target }) => target)
      .filter((target) => target.startsWith(root)),
    [],
  );
}

/** Whether a process runs: one that only waits to be reaped doesn't. */
function isThere(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Processes with all of these in their command line. */
function processesOf(...words: readonly string[]): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return words.every((word) => command.includes(word));
      } catch {
        return false;
      }
    });
}

/** Processes of others have no event for us. */
async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 2000, `still not: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
