import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { missing, RuntimeFixture } from "@hull/engine/runtime/fixture";
import type { TaskManager } from "@hull/engine/runtime/index";
import type { AttachedStreams } from "@hull/engine/runtime/task-streams";
import { readStream, writeAll } from "@hull/sys/stream";
import { attachClient } from "../streaming/attach-client.ts";
import { headRoom, type Output } from "../streaming/streams.ts";
import { type ContainerStreams, openStreams, type StreamsOfContainer, streamNames } from "./index.ts";

const why = missing === undefined ? "" : ` (${missing})`;
const debianShim = Bun.which("containerd-shim-runc-v2");
const outputs = { stdin: false, stdout: true, stderr: true };
const all = { ...outputs, stdin: true };

async function* nothing(): AsyncGenerator<Uint8Array, void> {}

async function* typed(...texts: string[]): AsyncGenerator<Uint8Array, void> {
  for (const text of texts) yield Buffer.from(text);
}

/** What a client brings, and what it sees to the end. */
async function textOf(attached: AttachedStreams, input: AsyncIterable<Uint8Array> = nothing()) {
  await using client = attached;
  const { stdin, stdout, stderr } = client;
  const all = async (fd: number | undefined): Promise<string> => {
    const chunks = fd === undefined ? [] : await Array.fromAsync(readStream(fd));
    return Buffer.concat(chunks).toString();
  };
  const bring = async (): Promise<void> => {
    for await (const bytes of input) if (stdin !== undefined) await writeAll(stdin, bytes);
    client.endInput();
  };
  const [seenOut, seenErr] = await Promise.all([all(stdout), all(stderr), bring(), client.over]);
  return { stdout: seenOut, stderr: seenErr };
}

/** A container with a task that is created. */
class Logged implements AsyncDisposable {
  readonly fixture: RuntimeFixture;
  readonly tasks: TaskManager;
  readonly container: StreamsOfContainer;
  streams: ContainerStreams;

  private constructor(fixture: RuntimeFixture, container: StreamsOfContainer) {
    this.fixture = fixture;
    this.tasks = fixture.manager();
    this.container = container;
    this.streams = this.open();
  }

  open(): ContainerStreams {
    return openStreams(this.container, { ctx: this.fixture.ctx, tasks: this.tasks });
  }

  static async create(runtime: string, script: string, options: Partial<StreamsOfContainer> = {}): Promise<Logged> {
    const fixture = await RuntimeFixture.open();
    const container: StreamsOfContainer = {
      id: "a",
      logPath: join(fixture.directory, "logs", "0.log"),
      maxLine: 16384,
      stdin: false,
      stdinOnce: false,
      tty: false,
      own: runtime === "io.containerd.runc.v2",
      directory: join(fixture.directory, "io"),
      ...options,
    };
    mkdirSync(join(fixture.directory, "logs"));
    const names = streamNames(container);
    const logged = new Logged(fixture, container);
    const spec = <S extends object>(given: S): S => ({
      ...given,
      process: { ...(given as { process?: object }).process, terminal: container.tty },
    });
    const request = { ...fixture.container("a", ["sh", "-c", script], { runtime, spec }), ...names };
    await logged.tasks.create(fixture.ctx, request);
    return logged;
  }

  async run(): Promise<number> {
    const ended = this.tasks.wait(this.fixture.ctx, "a");
    await this.tasks.start(this.fixture.ctx, "a");
    const { exitStatus } = await ended;
    await this.streams.drained();
    return exitStatus;
  }

  lines(path = this.container.logPath): string[] {
    const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
    return lines.map((line) => line.replace(/^\S+ /, "")).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.streams.close();
    await this.fixture[Symbol.asyncDispose]();
  }
}

for (const runtime of ["io.containerd.runc.v2", debianShim ?? "containerd-shim-runc-v2"]) {
  const skip = missing !== undefined || (runtime !== "io.containerd.runc.v2" && debianShim === null);
  describe.skipIf(skip)(`streams of containers by ${runtime}${why}`, () => {
    test("both outputs are in the log, and seen by clients", async () => {
      await using task = await Logged.create(runtime, "echo out; echo err >&2; echo 12345; printf rest", {
        maxLine: 4,
      });
      const seen = textOf(await task.streams.attach(outputs));
      expect(await task.run()).toBe(0);
      expect(task.lines()).toEqual(["stderr F err", "stdout F 5", "stdout F out", "stdout P 1234", "stdout P rest"]);
      expect(await seen).toEqual({ stdout: "out\n12345\nrest", stderr: "err\n" });
    }, 120_000);

    test("input once, and what is made of it", async () => {
      await using task = await Logged.create(runtime, "cat; echo end", { stdin: true, stdinOnce: true });
      const text = "x".repeat(200_000);
      const seen = textOf(await task.streams.attach(all), typed("a\n", text, "\n"));
      expect(await task.run()).toBe(0);
      expect((await seen).stdout).toBe(`a\n${text}\nend\n`);
    }, 120_000);

    test("renaming, and a daemon that comes back", async () => {
      await using task = await Logged.create(runtime, "echo one; read a; echo $a; read b; echo $b", { stdin: true });
      const ended = task.run();
      await textOf(await task.streams.attach(all), typed("two\n"));
      await logHas(task, "two");
      const { logPath } = task.container;
      renameSync(logPath, `${logPath}.1`);
      await task.streams.reopenLog();
      const before = task.streams;
      task.streams = task.open();
      before.close();
      await textOf(await task.streams.attach(all), typed("three\n"));
      expect(await ended).toBe(0);
      await task.streams.drained();
      expect([task.lines(`${logPath}.1`), task.lines()]).toEqual([
        ["stdout F one", "stdout F two"],
        ["stdout F three"],
      ]);
    }, 120_000);

    test("a client of the streaming server on a terminal", async () => {
      await using task = await Logged.create(runtime, "read a; echo got $a", { stdin: true, tty: true });
      const ended = task.run();
      let seen = "";
      const got = Promise.withResolvers<void>();
      const stdout: Output = {
        send(buffer, from, to) {
          expect(from).toBe(headRoom);
          seen += Buffer.from(buffer.subarray(from, to)).toString();
          if (seen.includes("got word")) got.resolve();
          return undefined;
        },
        end: () => got.resolve(),
      };
      const stdin = async function* () {
        yield Buffer.from("word\n");
        await got.promise;
      };
      await attachClient(task.streams, { stdin: stdin(), stdout }, { lost: new AbortController().signal });
      expect(await ended).toBe(0);
      expect(seen).toContain("word\r\ngot word\r\n");
      expect(task.lines()).toContain("stdout F got word");
    }, 120_000);
  });
}

async function logHas(task: Logged, text: string): Promise<void> {
  for (let tries = 0; !readFileSync(task.container.logPath, "utf8").includes(text); tries++) {
    if (tries === 2000) throw new Error(`the log has no "${text}"`);
    await Bun.sleep(10);
  }
}
