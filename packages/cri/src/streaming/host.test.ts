import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { ExecRequest } from "@hull/api/gen/cri/v1/cri";
import { missing, RuntimeFixture } from "@hull/engine/runtime/fixture";
import type { TaskManager } from "@hull/engine/runtime/index";
import { notFound } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import { createNetworkNamespace, inNetworkNamespace, unpinNamespace } from "@hull/sys/namespace";
import type { Pod, PodContainer } from "../model.ts";
import { execSync } from "./exec-sync.ts";
import { type HostOptions, TaskStreamingHost } from "./host.ts";
import { StreamingServer } from "./index.ts";
import { SpdyClient } from "./testing.ts";

const never = new AbortController().signal;

describe.skipIf(missing !== undefined)(`commands in a container${missing === undefined ? "" : ` (${missing})`}`, () => {
  let fixture: RuntimeFixture;
  let tasks: TaskManager;
  let options: HostOptions;
  let server: StreamingServer;
  let attached: (streams: Parameters<HostOptions["attach"]>[1]) => Promise<void> = async () => {};
  const pods = new Map<string, Pod>();

  beforeAll(async () => {
    fixture = await RuntimeFixture.open();
    tasks = fixture.manager();
    await tasks.create(fixture.ctx, fixture.container("c", ["sleep", "1000"]));
    await tasks.start(fixture.ctx, "c");
    const { ctx } = fixture;
    options = {
      // The fixture's namespace isn't Kubernetes'.
      tasks: {
        exec: (_, request) => tasks.exec(ctx, request),
        start: (_, id, execId) => tasks.start(ctx, id, execId),
        wait: (_, id, execId) => tasks.wait(ctx, id, execId),
        kill: (_, id, how) => tasks.kill(ctx, id, how),
        closeIo: (_, id, execId, stdin) => tasks.closeIo(ctx, id, execId, stdin),
        resizePty: (_, id, execId, width, height) => tasks.resizePty(ctx, id, execId, width, height),
        deleteProcess: (_, id, execId) => tasks.deleteProcess(ctx, id, execId),
      },
      processOf: async (id) => {
        const { spec } = await fixture.options.containers.get(ctx, id);
        return (JSON.parse(Buffer.from(spec.value).toString()) as Required<Spec>).process;
      },
      fifoDirectory: () => join(fixture.directory, "io"),
      drainTimeoutMs: 0,
      containers: {
        get: (id) => {
          if (id !== "c") throw notFound(`an error occurred when try to find container "${id}"`);
          return { id, status: { state: "running" } } as PodContainer;
        },
      },
      pods: {
        get: (id) => {
          const pod = pods.get(id);
          if (pod === undefined) throw notFound(`an error occurred when try to find sandbox "${id}"`);
          return pod;
        },
      },
      attach: (_, streams) => attached(streams),
    };
    server = await StreamingServer.start({ host: new TaskStreamingHost(options), address: "127.0.0.1", port: 0 });
  });

  afterAll(async () => {
    server.close();
    await fixture[Symbol.asyncDispose]();
  });

  const request = (cmd: string[], more: Partial<ExecRequest> = {}): ExecRequest => ({
    ...{ containerId: "c", cmd, tty: false, stdin: true, stdout: true, stderr: true, ...more },
  });

  async function open(cmd: string[], more: Partial<ExecRequest> = {}) {
    const asked = request(cmd, more);
    const client = await SpdyClient.connect(server.execUrl(asked).url, ["v4.channel.k8s.io"]);
    const streams = ["error", "stdin", ...(asked.stderr ? ["stdout", "stderr"] : ["stdout", "resize"])];
    const [error, stdin, stdout, other] = await Promise.all(streams.map((streamtype) => client.open({ streamtype })));
    if (!(error && stdin && stdout && other)) throw new Error("streams are missing");
    return { client, error, stdin, stdout, other };
  }

  const filesLeft = (): string[] => readdirSync(join(fixture.directory, "io"));

  test("have their streams, and the exit code comes after all output", async () => {
    const { error, stdin, stdout, other } = await open(["sh", "-c", "tr a-z A-Z; echo warn >&2; exit 5"]);
    await stdin.write("hello");
    await stdin.end();
    expect(await stdout.all()).toBe("HELLO");
    expect(await other.all()).toBe("warn\n");
    expect(JSON.parse(await error.all()).details.causes[0].message).toBe("5");
    expect(filesLeft()).toEqual([]);
  });

  test("have a terminal, with the client's size", async () => {
    const { error, stdin, stdout, other: resize } = await open(["sh"], { tty: true, stderr: false });
    await resize.write('{"Width":91,"Height":33}');
    await stdin.write("sleep 0.3; stty size; echo $TERM\n");
    await stdout.until("33 91");
    await stdin.write("exit 2\n");
    expect(JSON.parse(await error.all()).details.causes[0].message).toBe("2");
    expect(stdout.text).toContain("xterm");
  });

  test("that can't be run say why", async () => {
    const { error } = await open(["nonsense"]);
    const { message, reason } = JSON.parse(await error.all());
    expect(reason).toBe("InternalError");
    expect(message).toMatch(
      /^Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "[0-9a-f]{64}": OCI runtime exec failed: exec failed: .*"nonsense": executable file not found in \$PATH/,
    );
    expect(filesLeft()).toEqual([]);
  });

  test("see the end of their input when the client goes", async () => {
    const { client, stdin, stdout } = await open(["sh", "-c", "echo go; cat >/dev/null; touch /tmp/ended"]);
    await stdout.until("go");
    await stdin.write("x");
    client.close();
    const { exitCode } = await execSync(
      ...([options, "c"] as const),
      { cmd: ["sh", "-c", "until [ -e /tmp/ended ]; do sleep 0.05; done"], timeout: 10n },
      never,
    );
    expect(exitCode).toBe(0);
  });

  test("lose nothing of much output, nor of much input", async () => {
    const size = 64 * 1024 * 1024;
    const { stdin, stdout, error } = await open(["sh", "-c", `head -c ${size} /dev/zero; wc -c >&2`]);
    let count = 0;
    stdout.onData = (bytes) => {
      count += bytes.length;
    };
    const piece = Buffer.alloc(32 * 1024);
    for (let sent = 0; sent < size; sent += piece.length) await stdin.write(piece);
    await stdin.end();
    await error.all();
    expect(count).toBe(size);
  });

  describe("with an answer", () => {
    const run = (script: string, timeout = 0n, more: Partial<HostOptions> = {}) =>
      execSync({ ...options, ...more }, "c", { cmd: ["sh", "-c", script], timeout }, never);

    test("have output and exit code in it", async () => {
      const { stdout, stderr, exitCode } = await run("echo out; echo err >&2; exit 9");
      expect([Buffer.from(stdout).toString(), Buffer.from(stderr).toString(), exitCode]).toEqual(["out\n", "err\n", 9]);
      expect(filesLeft()).toEqual([]);
    });

    test("are cut at 16 MiB", async () => {
      const { stdout, exitCode } = await run("head -c 20000000 /dev/zero");
      expect([stdout.length, exitCode]).toEqual([16 * 1024 * 1024, 0]);
    });

    test("are killed when their time is up", async () => {
      const thrown = await run("sleep 100", 1n).catch((error: unknown) => error);
      expect(thrown).toMatchObject({
        code: "deadlineExceeded",
        message: "failed to exec in container: timeout 1s exceeded",
      });
      expect(filesLeft()).toEqual([]);
    });

    test("are not waited for when others keep their output open", async () => {
      const thrown = await run("sleep 3 & exit 0", 0n, { drainTimeoutMs: 200 }).catch((error: unknown) => error);
      expect(String(thrown)).toMatch(/failed to drain exec process "[0-9a-f]+" io in 0\.2s because io is still held/);
    });
  });

  test("attach: what isn't running can't be", async () => {
    attached = async ({ stdout }) => {
      const buffer = Buffer.alloc(64, "-");
      await stdout?.send(buffer, 32, 34);
    };
    const attach = { containerId: "c", stdin: false, tty: false, stdout: true, stderr: false };
    const client = await SpdyClient.connect(server.attachUrl(attach).url, ["v4.channel.k8s.io"]);
    const error = await client.open({ streamtype: "error" });
    const stdout = await client.open({ streamtype: "stdout" });
    expect(await stdout.all()).toBe("--");
    expect(await error.all()).toBe('{"status":"Success"}');
    const gone = await SpdyClient.connect(server.attachUrl({ ...attach, containerId: "d" }).url, ["v4.channel.k8s.io"]);
    const [reason] = await Promise.all([gone.open({ streamtype: "error" }), gone.open({ streamtype: "stdout" })]);
    expect(await reason.all()).toContain("error attaching to container: an error occurred when try to find container");
  });

  test("ports are those inside the pod's network", async () => {
    const path = join(fixture.directory, "net");
    createNetworkNamespace(path);
    const listener = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    try {
      Bun.spawnSync(["nsenter", `--net=${path}`, "ip", "link", "set", "lo", "up"]);
      const port = 10_000 + Math.floor(Math.random() * 20_000);
      const listening = Promise.withResolvers<void>();
      inNetworkNamespace(path, () => {
        listener.listen(port, "::1", listening.resolve);
      });
      await listening.promise;
      pods.set("p", { id: "p", namespaces: { net: path } } as Pod);
      const url = server.portForwardUrl({ podSandboxId: "p", port: [] }).url;
      const client = await SpdyClient.connect(url, ["portforward.k8s.io"]);
      const pair = async (to: number, requestid: string) => ({
        error: await client.open({ streamtype: "error", port: String(to), requestid }),
        data: await client.open({ streamtype: "data", port: String(to), requestid }),
      });
      const good = await pair(port, "0");
      await good.data.write("there and back");
      await good.data.end();
      expect(await good.data.all()).toBe("there and back");
      expect(await good.error.all()).toBe("");
      const bad = await pair(9, "1");
      expect(await bad.error.all()).toBe(
        `error forwarding port 9 to pod p, uid : failed to execute portforward in network namespace "${path}": failed to connect to localhost:9 inside namespace "p", IPv4: dial tcp4 127.0.0.1:9: connect: connection refused IPv6 dial tcp6 [::1]:9: connect: connection refused `,
      );
      client.close();
    } finally {
      listener.close();
      unpinNamespace(path);
    }
  });
});
