import { describe, expect, test } from "bun:test";
import { readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { readStream, writeAll } from "@hull/sys/stream";
import { missing, RuntimeFixture } from "./fixture.ts";
import type { CreateTask, TaskManager } from "./index.ts";
import { type AttachedStreams, criInput, criOutput } from "./task-streams.ts";

const why = missing === undefined ? "" : ` (${missing})`;
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

/** A task that logs, created and not started. */
class Logged implements AsyncDisposable {
  readonly fixture: RuntimeFixture;
  readonly log: string;
  readonly #manager: TaskManager;

  private constructor(fixture: RuntimeFixture, manager: TaskManager) {
    this.fixture = fixture;
    this.log = join(fixture.directory, "0 .log");
    this.#manager = manager;
  }

  static async create(script: string, streams: Partial<CreateTask> = {}, maxLine = 16384): Promise<Logged> {
    const fixture = await RuntimeFixture.open();
    const logged = new Logged(fixture, fixture.manager());
    const terminal = streams.terminal === true ? { spec: terminalOf } : {};
    const request = fixture.container("a", ["sh", "-c", script], terminal);
    const stdout = criOutput(logged.log, maxLine);
    await logged.#manager.create(fixture.ctx, { ...request, stdout, stderr: stdout, ...streams });
    return logged;
  }

  get tasks(): TaskManager {
    return this.#manager;
  }

  async attach(wishes = outputs, signal?: AbortSignal): Promise<AttachedStreams> {
    const streams = await this.tasks.streams(this.fixture.ctx, "a");
    return streams.attach(wishes, { signal });
  }

  async run(): Promise<number> {
    const ended = this.tasks.wait(this.fixture.ctx, "a");
    await this.tasks.start(this.fixture.ctx, "a");
    return (await ended).exitStatus;
  }

  /** The log's lines without their times, those of one output behind those of the other. */
  lines(path = this.log): string[] {
    const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
    for (const line of lines)
      expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) std(out|err) [FP] /);
    const bare = lines.map((line) => line.replace(/^\S+ /, ""));
    return [...bare.filter((line) => line.startsWith("stdout")), ...bare.filter((line) => line.startsWith("stderr"))];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fixture[Symbol.asyncDispose]();
  }
}

function terminalOf<S extends object>(spec: S): S {
  return { ...spec, process: { ...(spec as { process?: object }).process, terminal: true } };
}

describe.skipIf(missing !== undefined)(`tasks that log as the CRI wants it${why}`, () => {
  test("both outputs are in one file when the exit is told, lines that are long or have no end in parts", async () => {
    await using task = await Logged.create("echo out; echo err >&2; echo 123456789; printf rest", {}, 4);
    expect(await task.run()).toBe(0);
    expect(task.lines()).toEqual([
      "stdout F out",
      "stdout P 1234",
      "stdout P 5678",
      "stdout F 9",
      "stdout P rest",
      "stderr F err",
    ]);
    expect(statSync(task.log).mode & 0o777).toBe(0o640);
  }, 120_000);

  test("a log that was renamed is opened anew when that is said", async () => {
    await using task = await Logged.create("echo one; read _; echo two; read _", { stdin: criInput({ once: false }) });
    const ended = task.run();
    const input = Promise.withResolvers<void>();
    const streams = await task.tasks.streams(task.fixture.ctx, "a");
    const seen = textOf(
      await task.attach(all),
      (async function* () {
        await input.promise;
        yield Buffer.from("\n");
        await Bun.sleep(200);
        yield Buffer.from("\n");
      })(),
    );
    renameSync(task.log, `${task.log}.1`);
    await streams.reopenLog();
    input.resolve();
    await seen;
    expect(await ended).toBe(0);
    expect([task.lines(`${task.log}.1`), task.lines()]).toEqual([["stdout F one"], ["stdout F two"]]);
  }, 120_000);

  test("clients see what comes while they are there, apart and to the end", async () => {
    await using task = await Logged.create("echo out; echo err >&2; head -c 300000 /dev/zero; exit 3");
    const both = textOf(await task.attach());
    const one = textOf(await task.attach({ ...outputs, stdout: false }));
    expect(await task.run()).toBe(3);
    expect(await both).toEqual({ stdout: `out\n${"\0".repeat(300_000)}`, stderr: "err\n" });
    expect(await one).toEqual({ stdout: "", stderr: "err\n" });
    expect(await task.attach().catch(String)).toContain("nothing to attach to");
    await task.tasks.delete(task.fixture.ctx, "a");
    expect(await task.attach().catch(String)).toContain("task a not found");
  }, 120_000);

  test("the first client's end of input is the process's where that was said, and output is still seen", async () => {
    await using task = await Logged.create("cat; echo end", { stdin: criInput({ once: true }) });
    const seen = textOf(await task.attach(all), typed("a\n", "x".repeat(300_000), "\n"));
    expect(await task.run()).toBe(0);
    expect((await seen).stdout).toBe(`a\n${"x".repeat(300_000)}\nend\n`);
  }, 120_000);

  test("else input goes on with the next client, and a client leaves with the end of its input", async () => {
    await using task = await Logged.create("read a; read b; echo $a $b", { stdin: criInput({ once: false }) });
    const ended = task.run();
    expect(await textOf(await task.attach(all), typed("one\n"))).toEqual({ stdout: "", stderr: "" });
    await textOf(await task.attach(all), typed("two\n"));
    expect(await ended).toBe(0);
    expect(task.lines()).toEqual(["stdout F one two"]);
  }, 120_000);

  test("a terminal is one output, and takes what is typed", async () => {
    await using task = await Logged.create("read a; echo got $a; read b", {
      terminal: true,
      stderr: "",
      stdin: criInput({ once: true }),
    });
    const ended = task.run();
    await using attached = await task.attach(all);
    const { stdin = -1, stdout = -1 } = attached;
    await writeAll(stdin, Buffer.from("word\n"));
    let seen = "";
    let entered = false;
    for await (const bytes of readStream(stdout)) {
      seen += Buffer.from(bytes).toString();
      if (seen.includes("got") && !entered) await writeAll(stdin, Buffer.from("\n"));
      entered = seen.includes("got");
    }
    expect(seen).toStartWith("word\r\ngot word\r\n");
    expect(await ended).toBe(0);
    expect(task.lines().slice(0, 2)).toEqual(["stdout F word", "stdout F got word"]);
  }, 120_000);

  test("what comes while there is no daemon is in the log, and the next one reaches it and its clients", async () => {
    await using task = await Logged.create("sleep 0.3; echo alone; read a; echo $a", {
      stdin: criInput({ once: true }),
    });
    const { fixture } = task;
    await task.tasks.start(fixture.ctx, "a");
    await task.tasks.close();
    while (!task.lines().includes("stdout F alone")) await Bun.sleep(10);
    const next = fixture.manager();
    await next.load();
    const streams = await next.streams(fixture.ctx, "a");
    renameSync(task.log, `${task.log}.1`);
    await streams.reopenLog();
    const ended = next.wait(fixture.ctx, "a");
    expect(await textOf(await streams.attach(all), typed("again\n"))).toEqual({ stdout: "again\n", stderr: "" });
    expect((await ended).exitStatus).toBe(0);
    expect([task.lines(`${task.log}.1`), task.lines()]).toEqual([["stdout F alone"], ["stdout F again"]]);
  }, 120_000);

  test("a task without a log has clients all the same; other streams have none", async () => {
    await using task = await Logged.create("echo out", { stdout: criOutput("", 0), stderr: "" });
    const seen = textOf(await task.attach());
    await task.run();
    expect((await seen).stdout).toBe("out\n");
    await using other = await Logged.create("true", { stdout: "", stderr: "" });
    expect(await other.attach().catch(String)).toContain('was not created with streams of the scheme "cri"');
  }, 120_000);
});
