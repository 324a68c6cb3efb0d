/**
 * What a program does with hull, each as a function that fails by throwing: they run under Bun and under Node, on a daemon of hull's, on the
 * real containerd, and on an engine in the program itself.
 */
import assert from "node:assert/strict";
import { createReadStream, existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { type Hull, HullError, type ImportOptions, type RunOptions } from "@hull/client";
import { annotated } from "./archive.ts";

export interface CaseContext {
  readonly hull: Hull;
  /** An archive with an image of busybox. */
  readonly archive: string;
}

export interface Case {
  readonly name: string;
  run(context: CaseContext): Promise<void>;
}

const image = "busybox";

const nothingLeft = async (hull: Hull): Promise<void> => {
  assert.deepEqual(
    (await hull.containers.list()).map(({ id }) => id),
    [],
  );
  const active = [];
  for await (const { name, kind } of hull.snapshots.list()) if (kind === "active") active.push(name);
  assert.deepEqual(active, []);
};

export const cases: readonly Case[] = [
  {
    name: "imports an image, and finds it again by a short name",
    async run({ hull, archive }) {
      const [imported] = await hull.images.import(createReadStream(archive));
      assert.equal(imported?.name, "docker.io/library/busybox:latest");
      const found = await hull.images.get(image);
      assert.equal(found.digest, imported?.digest);
      assert.deepEqual((await found.config()).config.cmd, ["sh"]);
      assert.equal(await hull.images.find("nothing-of-this-name"), undefined);
      assert.ok((await hull.images.list()).some(({ name }) => name === found.name));
    },
  },
  {
    name: "names images of archives that don't",
    async run({ hull, archive }) {
      const namesOf = async (annotations: Record<string, string>, options?: ImportOptions) => {
        const images = await hull.images.import(createReadStream(annotated(archive, annotations)), options);
        for (const found of images) {
          assert.equal((await hull.images.get(found.name)).digest, found.digest);
          await found.remove({ sync: true });
        }
        return images.map(({ name }) => name);
      };
      const { digest } = await hull.images.get(image);
      const tag = { "org.opencontainers.image.ref.name": "v1" };
      assert.deepEqual(await namesOf(tag), ["localhost/imported:v1"]);
      assert.deepEqual(await namesOf(tag, { name: "my/app" }), ["docker.io/my/app:v1"]);
      assert.deepEqual(await namesOf({}), [`localhost/imported@${digest}`]);
      assert.deepEqual(await namesOf({ "io.containerd.image.name": "example.com/a:b" }), ["example.com/a:b"]);
      await assert.rejects(namesOf({}, { name: "my/app:v1" }), /must have no tag/);
    },
  },
  {
    name: "gives an image another name, and takes it through an archive",
    async run({ hull }) {
      const found = await hull.images.get(image);
      const tagged = await found.tag("example.com/tools/box:1");
      assert.equal(tagged.digest, found.digest);
      // In place of what is called so.
      assert.equal((await found.tag("example.com/tools/box:1")).name, "example.com/tools/box:1");
      const chunks = await Array.fromAsync(hull.images.export([tagged.name]));
      await tagged.remove({ sync: true });
      assert.equal(await hull.images.find(tagged.name), undefined);
      await assert.rejects(hull.images.get(tagged.name), /is not here: pull it/);
      const again = await hull.images.import(
        (async function* () {
          yield* chunks;
        })(),
      );
      assert.deepEqual(
        again.map(({ name }) => name),
        [tagged.name],
      );
      await again[0]?.remove({ sync: true });
    },
  },
  {
    name: "runs a container: output, errors and status",
    async run({ hull }) {
      await using container = await hull.run(image, { command: ["sh", "-c", "echo out; echo err >&2; exit 3"] });
      const { code, stdout, stderr, truncated } = await container.collect();
      assert.deepEqual(
        { code, stdout, stderr, truncated },
        { code: 3, stdout: "out\n", stderr: "err\n", truncated: false },
      );
    },
  },
  {
    name: "leaves nothing behind",
    async run({ hull }) {
      {
        await using container = await hull.run(image, { command: ["sleep", "100"] });
        assert.equal((await (await hull.containers.get(container.id)).state()).status, "running");
        // The names of its streams are gone already: a program that is killed couldn't take them away.
        const { process } = await hull.api.service(TasksDefinition).get({ containerId: container.id });
        assert.match(process?.stdout ?? "", /\/stdout$/);
        assert.ok(!existsSync(dirname(process?.stdout ?? "")));
      }
      await nothingLeft(hull);
    },
  },
  {
    name: "keeps what a container prints in a log, and follows it to the end",
    async run({ hull }) {
      const script = "echo one; sleep 0.3; echo oops >&2; sleep 0.3; printf two";
      await using container = await hull.run(image, { command: ["sh", "-c", script], log: true });
      const begun = Date.now();
      const seen = await Array.fromAsync(container.logs({ follow: true }));
      assert.deepEqual(
        seen.map(({ text, partial }) => ({ text, partial })),
        [
          { text: "one", partial: false },
          { text: "oops", partial: false },
          { text: "two", partial: true },
        ],
      );
      assert.equal((await container.exit).code, 0);
      const again = await hull.containers.get(container.id);
      assert.deepEqual(await Array.fromAsync(again.logs()), seen);
      assert.deepEqual(
        (await Array.fromAsync(again.logs({ tail: 1 }))).map(({ text }) => text),
        ["two"],
      );
      await assert.rejects(container.stdout.text(), /goes to its log/);
      const [first, second] = seen;
      if (first?.at === undefined || second?.at === undefined) {
        await assert.rejects(Array.fromAsync(again.logs({ since: new Date() })), /no times/);
      } else {
        assert.deepEqual(
          seen.map(({ output }) => output),
          ["stdout", "stderr", "stdout"],
        );
        assert.ok(Math.abs(first.at.getTime() - begun) < 10_000);
        const later = again.logs({ since: new Date(second.at.getTime()) });
        assert.deepEqual(
          (await Array.fromAsync(later)).map(({ text }) => text),
          ["oops", "two"],
        );
        const before = again.logs({ until: new Date(second.at.getTime()), follow: true });
        assert.deepEqual(
          (await Array.fromAsync(before)).map(({ text }) => text),
          ["one"],
        );
      }
      await container[Symbol.asyncDispose]();
      const file = fileURLToPath(again.labels["hull/log-uri"] ?? "");
      assert.equal(existsSync(file), false);
    },
  },
  {
    name: "follows a log until the program has enough, and says what has none",
    async run({ hull }) {
      await using container = await hull.run(image, {
        command: ["sh", "-c", "i=0; while true; do echo $i; i=$((i+1)); sleep 0.05; done"],
        log: true,
      });
      const seen: string[] = [];
      for await (const { text } of container.logs({ follow: true })) if (seen.push(text) === 5) break;
      assert.deepEqual(seen, ["0", "1", "2", "3", "4"]);
      const signal = AbortSignal.timeout(200);
      await assert.rejects(Array.fromAsync(container.logs({ follow: true, signal })), /canceled/);
      await using other = await hull.run(image, { command: ["true"] });
      await assert.rejects(Array.fromAsync(other.logs()), (error: HullError) => error.code === "failedPrecondition");
      await assert.rejects(hull.run(image, { log: true, stdout: "pipe" }), /not to both/);
      await assert.rejects(hull.run(image, { stdin: "inherit" }), /process\.stdin/);
      await assert.rejects(hull.run(image, { stdout: "inherit" as "pipe" }), /"pipe" or "ignore"/);
    },
  },
  {
    name: "feeds a process, whose output comes line by line",
    async run({ hull }) {
      await using container = await hull.run(image, { command: ["cat"], stdin: "one\ntwo\nthree" });
      assert.deepEqual(await Array.fromAsync(container.stdout.lines()), ["one", "two", "three"]);
      assert.equal((await container.exit).code, 0);
    },
  },
  {
    name: "writes to a process while it runs",
    async run({ hull }) {
      await using container = await hull.run(image, {
        command: ["sh", "-c", "read a; echo got $a; read b; echo got $b"],
        stdin: "pipe",
      });
      const lines = container.stdout.lines();
      const writer = container.stdin.getWriter();
      await writer.write("first\n");
      assert.equal((await lines.next()).value, "got first");
      await writer.write("second\n");
      assert.equal((await lines.next()).value, "got second");
      await writer.close();
      assert.equal((await container.exit).code, 0);
    },
  },
  {
    name: "carries 32 MiB through a process, unchanged",
    async run({ hull }) {
      const piece = new Uint8Array(1 << 20).map((_, at) => at * 7);
      async function* source() {
        for (let count = 0; count < 32; count++) yield piece;
      }
      await using container = await hull.run(image, { command: ["cat"], stdin: source() });
      let at = 0;
      for await (const chunk of container.stdout) {
        const offset = at % piece.length;
        const first = piece.subarray(offset, offset + chunk.length);
        assert.ok(Buffer.from(chunk.subarray(0, first.length)).equals(first), `bytes at ${at}`);
        at += chunk.length;
      }
      assert.equal(at, 32 << 20);
    },
  },
  {
    name: "keeps no more output than asked for",
    async run({ hull }) {
      await using container = await hull.run(image, { command: ["sh", "-c", "yes | head -c 3000000"] });
      const { stdout, truncated, code } = await container.collect({ limit: 1000 });
      assert.deepEqual([stdout.length, truncated, code], [1000, true, 0]);
    },
  },
  {
    name: "has options for what a process sees",
    async run({ hull }) {
      await using container = await hull.run(image, {
        command: ["sh", "-c", "echo $A; pwd; id -u; id -g; hostname; touch /x 2>/dev/null || echo read-only; ls /t"],
        env: { A: "b c" },
        cwd: "/tmp",
        user: "12:34",
        hostname: "box",
        readOnly: true,
        mounts: [
          { type: "tmpfs", target: "/t", size: 1 << 20 },
          { type: "tmpfs", target: "/tmp" },
        ],
        memory: 64 << 20,
        pids: 32,
        cpus: 0.5,
      });
      assert.equal((await container.collect()).stdout, "b c\n/tmp\n12\n34\nbox\nread-only\n");
    },
  },
  {
    name: "gives a terminal, of the size that is asked for",
    async run({ hull }) {
      await using container = await hull.run(image, {
        command: ["sh", "-c", "sleep 0.3; stty size; tty"],
        tty: { columns: 100, rows: 30 },
      });
      assert.equal(await container.stdout.text(), "30 100\r\n/dev/pts/0\r\n");
    },
  },
  {
    name: "runs processes beside the first",
    async run({ hull }) {
      await using container = await hull.run(image, { command: ["sleep", "100"], env: { A: "1", B: "1" } });
      await using exec = await container.exec(["sh", "-c", "echo $A $B; cat; exit 4"], {
        env: { B: "2" },
        stdin: "in\n",
      });
      const { code, stdout } = await exec.collect();
      assert.deepEqual([code, stdout], [4, "1 2\nin\n"]);
      const many = await Promise.all(
        [1, 2, 3, 4].map(async (number) => {
          await using one = await container.exec(["echo", String(number)]);
          return await one.stdout.text();
        }),
      );
      assert.deepEqual(many, ["1\n", "2\n", "3\n", "4\n"]);
    },
  },
  {
    name: "stops kindly, then not",
    async run({ hull }) {
      await using kind = await hull.run(image, {
        command: ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"],
      });
      await kind.stdout[Symbol.asyncIterator]().next();
      assert.equal((await kind.stop()).code, 7);
      await using stubborn = await hull.run(image, { command: ["sh", "-c", "echo up; exec sleep 100"] });
      // Before that it is runc, to whom the signal means the end.
      await stubborn.stdout[Symbol.asyncIterator]().next();
      assert.equal((await stubborn.stop({ timeoutMs: 100 })).code, 137);
    },
  },
  {
    name: "lets whoever finds a container work with it",
    async run({ hull }) {
      const memory = 64 << 20;
      const streams = { stdout: "ignore", stderr: "ignore" } as const;
      await using started = await hull.run("busybox", { command: ["sleep", "1000"], memory, ...streams });
      const found = await hull.containers.get(started.id);
      const { stdout, code } = await (await found.exec(["sh", "-c", "echo inside; exit 3"])).collect();
      assert.deepEqual([stdout, code], ["inside\n", 3]);
      await found.pause();
      assert.equal((await found.state()).status, "paused");
      await found.resume();
      const [stats, same] = await Promise.all([found.stats(), started.stats()]);
      assert.ok(stats.pids >= 1 && stats.memory > 0 && stats.memory <= memory, JSON.stringify(stats));
      assert.deepEqual([stats.memoryLimit, same.memoryLimit, stats.oomKills], [memory, memory, 0]);
      const ended = found.wait();
      // The first process of a container takes no signal that it has no handler for, but SIGKILL.
      assert.equal((await found.stop({ timeoutMs: 50 })).code, 137);
      assert.equal((await ended).code, 137);
      assert.deepEqual((await found.state()).status, "stopped");
      {
        await using again = await found.start(streams);
        assert.equal((await found.state()).status, "running");
        await assert.rejects(found.start(streams), { code: "alreadyExists" });
        assert.notEqual(again.pid, started.pid);
      }
      await started[Symbol.asyncDispose]();
      await assert.rejects(found.stop(), { code: "notFound" });
      await assert.rejects(found.wait(), { code: "notFound" });
      await assert.rejects(found.kill(), { code: "notFound" });
      await assert.rejects(found.stats(), { code: "failedPrecondition" });
    },
  },
  {
    name: "pauses and goes on",
    async run({ hull }) {
      await using container = await hull.run(image, { command: ["sleep", "100"] });
      const record = await hull.containers.get(container.id);
      await container.pause();
      assert.equal((await record.state()).status, "paused");
      await container.resume();
      assert.equal((await record.state()).status, "running");
    },
  },
  {
    name: "ends a container with its signal",
    async run({ hull }) {
      const controller = new AbortController();
      await using container = await hull.run(image, { command: ["sleep", "100"], signal: controller.signal });
      controller.abort();
      assert.equal((await container.exit).code, 137);
      await assert.rejects(hull.run(image, { signal: AbortSignal.abort() }));
    },
  },
  {
    name: "tells what happens, typed",
    async run({ hull }) {
      const controller = new AbortController();
      const { namespace } = hull;
      const seen: string[] = [];
      const watching = (async () => {
        const { signal } = controller;
        for await (const event of hull.events({ topics: ["/tasks/start", "/tasks/exit"], namespace, signal })) {
          if (event.topic === "/tasks/start") seen.push(`start ${event.event.pid > 0}`);
          else {
            seen.push(`exit ${event.event.exitStatus}`);
            return;
          }
        }
      })();
      // A subscription counts from when the daemon has it.
      await hull.namespaces.list();
      await new Promise((resolve) => setTimeout(resolve, 200));
      await using container = await hull.run(image, { command: ["sh", "-c", "exit 5"] });
      await container.exit;
      await watching;
      assert.deepEqual(seen, ["start true", "exit 5"]);
    },
  },
  {
    name: "keeps content under a lease, and streams it",
    async run({ hull }) {
      const bytes = new TextEncoder().encode("some content");
      await hull.leases.during(async (leased) => {
        const { digest } = await leased.content.write(
          (async function* () {
            yield bytes;
          })(),
        );
        const chunks = await Array.fromAsync(leased.content.read(digest) as unknown as AsyncIterable<Uint8Array>);
        assert.equal(Buffer.concat(chunks).toString(), "some content");
        const [blob] = await Array.fromAsync(leased.content.list(`digest==${digest}`));
        assert.equal(blob?.size, bytes.length);
      });
    },
  },
  {
    name: "says what is wrong, in one family of errors",
    async run({ hull }) {
      const failure = async (work: Promise<unknown>): Promise<HullError> => {
        try {
          await work;
        } catch (error) {
          assert.ok(error instanceof HullError);
          return error;
        }
        throw new assert.AssertionError({ message: "it did not fail" });
      };
      assert.equal((await failure(hull.containers.get("none"))).code, "notFound");
      assert.equal((await failure(hull.run("never-heard-of", { pull: "never" }))).code, "notFound");
      assert.match((await failure(hull.run(image, { command: ["/no/such/program"] }))).message, /no such file/);
      const wrong: readonly (readonly [RunOptions, RegExp])[] = [
        [{ memory: -1 }, /limit "memory" must be a whole number above 0, not -1/],
        [{ memory: "64m" as unknown as number }, /not 64m/],
        [{ pids: 1.5 }, /limit "pids" must be a whole number/],
        [{ cpus: 0.001 }, /limit "cpus" must be a number, 0.01 or more/],
        [
          { command: "ls -l" as unknown as string[] },
          /"command" must be a list of arguments, as in \["ls", "-l"\], not "ls -l"/,
        ],
        [{ env: { "A=B": "c" } }, /"A=B" can't be a variable's name/],
      ];
      for (const [options, message] of wrong) {
        const { code, message: said } = await failure(hull.run(image, options));
        assert.equal(code, "invalidArgument");
        assert.match(said, message);
      }
      await using first = await hull.run(image, { command: ["sleep", "100"] });
      assert.equal((await failure(first.exec("ls" as unknown as string[]))).code, "invalidArgument");
      assert.equal((await failure(hull.run(image, { id: first.id }))).code, "alreadyExists");
      assert.equal((await (await hull.containers.get(first.id)).state()).status, "running");
      assert.equal(
        (await failure(hull.within({ timeoutMs: 50 }).run(image, { pull: "always" }))).code !== "internal",
        true,
      );
    },
  },
  {
    name: "keeps namespaces apart",
    async run({ hull }) {
      const other = hull.withNamespace("other");
      assert.deepEqual(await other.images.list(), []);
      await hull.namespaces.create("labelled", { team: "web" });
      assert.ok(
        (await hull.namespaces.list()).some(({ name, labels }) => name === "labelled" && labels.team === "web"),
      );
      await hull.namespaces.delete("labelled");
    },
  },
  {
    name: "has left nothing at the end",
    run: ({ hull }) => nothingLeft(hull),
  },
];
