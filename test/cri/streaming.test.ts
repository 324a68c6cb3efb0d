/** Exec, attach and port-forward beside the real containerd: what clients are given, and are told. */
import { connect as connectLink } from "@hull/link/bun";
import { inNetworkNamespace } from "@hull/sys/namespace";
import { startConnection } from "@hull/sys/tcp";
import { ready } from "@hull/sys/watch";
import { type Dial, SpdyClient, upgrade } from "../../packages/cri/src/streaming/testing.ts";
import { type NewContainer, scriptContainer } from "../support/cri.ts";
import { type CriPair, type CriServer, comparedCri } from "./pair.ts";

/** The server listens at the loopback interface of the daemon's own machine. */
const dialIn =
  ({ daemon }: CriServer): Dial =>
  async ({ port }) => {
    const fd = inNetworkNamespace(`/proc/${daemon.machine.pid}/ns/net`, () => startConnection("4", Number(port)));
    await ready(fd, "write");
    return await connectLink({ fd });
  };

interface Session {
  readonly stdin?: string;
  readonly tty?: boolean;
  readonly protocol?: string;
  /** Leaves the input open. */
  readonly open?: boolean;
}

const request = ({ stdin, tty = false }: Session) => ({
  ...{ tty, stdin: stdin !== undefined, stdout: true, stderr: !tty },
});

/** Containerd before 2.3 writes empty metadata, and the text of a failure twice. */
const plainStatus = (text: string): string =>
  text.replace('"metadata":{},', "").replace(/("reason":"InternalError"),"details":.*,("code":500)/, "$1,$2");

/** What a client sees from its first stream to its last. */
async function converse(server: CriServer, url: string, session: Session): Promise<unknown> {
  const { stdin, tty = false, protocol = "v4.channel.k8s.io", open = false } = session;
  const client = await SpdyClient.connect(url, [protocol], dialIn(server));
  const error = await client.open({ streamtype: "error" });
  const input = stdin === undefined ? undefined : await client.open({ streamtype: "stdin" });
  const stdout = await client.open({ streamtype: "stdout" });
  const stderr = tty ? undefined : await client.open({ streamtype: "stderr" });
  if (tty) await client.open({ streamtype: "resize" });
  if (stdin) await input?.write(stdin);
  if (!open) await input?.end();
  const told = { stdout: await stdout.all(), stderr: await stderr?.all(), end: plainStatus(await error.all()) };
  client.close();
  return told;
}

const exec =
  (name: string, cmd: string[], session: Session = {}) =>
  async (server: CriServer): Promise<unknown> => {
    const { url } = await server.runtime.exec({ containerId: server.id(name), cmd, ...request(session) });
    return await converse(server, url, session);
  };

const execSync =
  (name: string, cmd: string[], timeout = 10n) =>
  async ({ runtime, id }: CriServer): Promise<unknown> => {
    const { stdout, stderr, exitCode } = await runtime.execSync({ containerId: id(name), cmd, timeout });
    return { stdout: Buffer.from(stdout).toString(), stderr: Buffer.from(stderr).toString(), exitCode };
  };

async function started({ each }: CriPair, ...configs: NewContainer[]): Promise<void> {
  await each(async (server) => {
    await server.runPod("pod");
    for (const config of configs) {
      await server.create("pod", config);
      await server.start(config.metadata?.name ?? "");
    }
  });
}

const idle = scriptContainer("idle", 'trap "exit 0" TERM; while :; do sleep 0.1; done');

comparedCri("streaming", (test) => {
  test("commands and how they end", async (pair) => {
    await started(pair, idle);
    await pair.same("output of both kinds", exec("idle", ["sh", "-c", "echo out; echo err >&2"]));
    await pair.same("an exit code", exec("idle", ["sh", "-c", "exit 42"]));
    await pair.same("a signal", exec("idle", ["sh", "-c", "kill -9 $$"]));
    await pair.same("input to its end", exec("idle", ["tr", "a-z", "A-Z"], { stdin: "some text" }));
    await pair.same("a terminal", exec("idle", ["sh", "-c", "tty; echo $TERM"], { tty: true }));
    await pair.same("an older protocol", exec("idle", ["sh", "-c", "exit 2"], { protocol: "v3.channel.k8s.io" }));
    await pair.same("one that isn't there", exec("idle", ["nonsense"]));
    await pair.same("the environment and directory", exec("idle", ["sh", "-c", "pwd; id -u; echo $OF"]));
  });

  test("commands that are answered", async (pair) => {
    await started(pair, idle, scriptContainer("short", "exit 0"));
    await pair.each((server) => server.ended("short"));
    await pair.same("output and exit code", execSync("idle", ["sh", "-c", "echo out; echo err >&2; exit 3"]));
    await pair.same("too slow", execSync("idle", ["sleep", "100"], 1n));
    await pair.same("one that isn't there", execSync("idle", ["nonsense"]));
    await pair.same("nothing", execSync("idle", []));
    await pair.same("in a container that has ended", execSync("short", ["true"]));
    await pair.same("in no container", ({ runtime }) => runtime.execSync({ containerId: "abcdef", cmd: ["true"] }));
  });

  test("requests that can't be", async (pair) => {
    await started(pair, idle, scriptContainer("short", "exit 0"));
    await pair.each((server) => server.ended("short"));
    const streams = { stdout: true };
    await pair.same("exec, no streams", ({ runtime, id }) => runtime.exec({ containerId: id("idle"), cmd: ["x"] }));
    await pair.same("exec, terminal and stderr", ({ runtime, id }) =>
      runtime.exec({ containerId: id("idle"), cmd: ["x"], tty: true, stderr: true }),
    );
    await pair.same("exec, ended", ({ runtime, id }) => runtime.exec({ containerId: id("short"), ...streams }));
    await pair.same("exec, nowhere", ({ runtime }) => runtime.exec({ containerId: "abcdef", ...streams }));
    await pair.same("attach, no streams", ({ runtime, id }) => runtime.attach({ containerId: id("idle") }));
    await pair.same("attach, ended", ({ runtime, id }) => runtime.attach({ containerId: id("short"), ...streams }));
    await pair.same("attach, nowhere", ({ runtime }) => runtime.attach({ containerId: "abcdef", ...streams }));
    await pair.same("port-forward, nowhere", ({ runtime }) => runtime.portForward({ podSandboxId: "abcdef" }));
    await pair.same("a URL twice", async (server) => {
      const { url } = await server.runtime.exec({ containerId: server.id("idle"), cmd: ["true"], ...streams });
      const first = await upgrade(url, "GET", [], dialIn(server));
      const second = await upgrade(url, "GET", [], dialIn(server));
      return [first.head.split("\r\n")[0], second.head.split("\r\n")[0], String(second.rest)];
    });
  });

  test("attached clients", async (pair) => {
    const script = "while read line; do echo got $line; echo warn >&2; done; echo ended";
    await started(pair, scriptContainer("once", script, { stdin: true, stdinOnce: true }));
    await pair.same("its input to the end, and what comes of it", async (server) => {
      const session = { stdin: "one\ntwo\n" };
      const { url } = await server.runtime.attach({ containerId: server.id("once"), ...request(session) });
      return await converse(server, url, session);
    });
    await pair.same("the log has it too", async (server) => (await server.log("pod", "once")).sort());
  });

  test("ports of a pod", async (pair) => {
    const serve = "while :; do echo -n hello | nc -l -p 7070; done & trap 'exit 0' TERM; while :; do sleep 0.1; done";
    await started(pair, scriptContainer("server", serve));
    await pair.each((server) =>
      execSync("server", ["sh", "-c", "until netstat -ltn | grep -q 7070; do :; done"])(server),
    );
    const forward = (port: number) => async (server: CriServer) => {
      const { url } = await server.runtime.portForward({ podSandboxId: server.id("pod"), port: [port] });
      const client = await SpdyClient.connect(url, ["portforward.k8s.io"], dialIn(server));
      const headers = { port: String(port), requestid: "0" };
      const error = await client.open({ streamtype: "error", ...headers });
      const data = await client.open({ streamtype: "data", ...headers });
      // What the last attempt comes to depends on the addresses that the machine has for "localhost".
      const [problem = ""] = (await error.all()).replace(/cni-[0-9a-f-]+/, "CNI").split(" IPv6 dial tcp6");
      const told = { data: await data.all(), error: problem };
      client.close();
      return told;
    };
    await pair.same("what a server says", forward(7070));
    await pair.same("nobody is there", forward(9));
  });
});
