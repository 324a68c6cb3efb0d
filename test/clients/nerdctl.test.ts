/**
 * nerdctl, which gives containerd docker's commands.
 *
 *   NERDCTL_EXECUTABLE=PATH bun test test/clients/nerdctl.test.ts
 *   HULL_CLIENTS_OF=containerd …      the same on the real containerd
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { type Daemon, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { type NetworkNamespace, openNetworkNamespace } from "../support/network-namespace.ts";
import { isAlive, runProgram } from "../support/process.ts";
import { runOnTerminal } from "../support/pty.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { Nerdctl, noNerdctl } from "./nerdctl.ts";

setDefaultTimeout(60_000);

const image = "busybox";
const why = noNerdctl === undefined ? "" : ` (skipped: ${noNerdctl})`;
const isOriginal = process.env.HULL_CLIENTS_OF === "containerd";

describe.skipIf(noNerdctl !== undefined)(`nerdctl${why}`, () => {
  let folder: Scratch;
  let network: NetworkNamespace;
  let daemon: Daemon;
  let nerdctl: Nerdctl;
  let name: string;

  const startDaemon = (): Promise<Daemon> => {
    const options = { behind: network.behind };
    return isOriginal ? startContainerd(folder.join("c"), options) : startHull(folder.join("c"), "", options);
  };

  beforeAll(async () => {
    folder = scratch();
    name = basename(folder.path);
    network = await openNetworkNamespace();
    daemon = await startDaemon();
    nerdctl = new Nerdctl(folder.join("n"), daemon.address, name, network);
    writeBusyboxImage(folder.join("busybox.tar"));
    await nerdctl.must("load", "--input", folder.join("busybox.tar"));
  });
  afterEach(async () => {
    const left = (await nerdctl.must("ps", "--all", "--quiet")).split("\n").filter(Boolean);
    if (left.length > 0) await nerdctl.must("rm", "--force", ...left);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await network[Symbol.asyncDispose]();
    removeLeftovers(name);
    for (const own of [name, `${name.toLowerCase()}_default`])
      rmSync(`/var/lib/cni/networks/${own}`, { recursive: true, force: true });
    folder[Symbol.dispose]();
  });

  const fetched = async (url: string): Promise<string> =>
    (await runProgram([...network.behind, "/bin/busybox", "wget", "-qO-", url])).stdout;
  const shown = (container: string, field: string): Promise<string> =>
    nerdctl.must("inspect", "--format", `{{${field}}}`, container);
  const status = (container: string): Promise<string> =>
    nerdctl.must("ps", "--all", "--filter", `name=${container}`, "--format", "{{.Status}}");

  test("runs programs with their output, input and exit status, and warns of nothing", async () => {
    const said = "echo out; echo err >&2; exit 7";
    expect(await nerdctl.run(["run", "--rm", image, "sh", "-c", said])).toEqual({
      status: 7,
      stdout: "out\n",
      stderr: "err\n",
    });
    const typed = await nerdctl.run(["run", "--rm", "--interactive", image, "cat"], "typed\n");
    expect(typed).toEqual({ status: 0, stdout: "typed\n", stderr: "" });
    const missing = await nerdctl.run(["run", "--rm", image, "/missing"]);
    expect(missing).toMatchObject({ status: 1, stderr: expect.stringMatching(/\/missing.*no such file/) });
  });

  test("has a terminal that is typed to", async () => {
    const size = { columns: 90, rows: 31 };
    const { command, env } = nerdctl;
    using screen = runOnTerminal([...command, "run", "-it", "--rm", image, "sh"], { size, env });
    await screen.shows(/\/ # /);
    await screen.type("stty size\n");
    await screen.shows(/31 90/);
    await screen.type("exit 5\n");
    expect(await screen.exited).toBe(5);
  });

  test("publishes ports and answers for a running container: logs, exec, top, stats, pause, update, rename, copy, stop", async () => {
    const serve =
      "mkdir /www; echo served >/www/index.html; httpd -h /www; echo up; trap 'exit 3' TERM; while :; do sleep 0.1; done";
    const limits = [
      "--memory",
      "64m",
      "--cpus",
      "0.5",
      "--user",
      "0:0",
      "--tmpfs",
      "/t",
      "--volume",
      `${folder.path}:/host:ro`,
    ];
    await nerdctl.must("run", "--detach", "--name", "web", "--publish", "8080:80", ...limits, image, "sh", "-c", serve);
    await until(async () => (await nerdctl.must("logs", "web")) === "up");
    expect(await fetched("http://127.0.0.1:8080/")).toBe("served\n");
    expect(await nerdctl.must("port", "web")).toBe("80/tcp -> 0.0.0.0:8080");
    expect(await nerdctl.must("exec", "web", "ls", "/host/busybox.tar")).toBe("/host/busybox.tar");
    expect(await nerdctl.run(["exec", "web", "sh", "-c", "exit 9"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("exit code 9"),
    });
    expect((await nerdctl.run(["exec", "--interactive", "web", "cat"], "more\n")).stdout).toBe("more\n");
    expect(await nerdctl.must("top", "web")).toContain("httpd -h /www");
    expect(await nerdctl.must("stats", "--no-stream", "--format", "{{.MemUsage}}", "web")).toMatch(/ \/ 64MiB$/);
    await nerdctl.must("pause", "web");
    expect(await status("web")).toBe("Paused");
    await nerdctl.must("unpause", "web");
    await nerdctl.must("update", "--memory", "32m", "web");
    expect(await nerdctl.must("stats", "--no-stream", "--format", "{{.MemUsage}}", "web")).toMatch(/ \/ 32MiB$/);
    await nerdctl.must("cp", "web:/www/index.html", folder.join("copied"));
    expect(readFileSync(folder.join("copied"), "utf8")).toBe("served\n");
    await nerdctl.must("rename", "web", "renamed");
    await nerdctl.must("stop", "renamed");
    expect(await status("renamed")).toMatch(/^Exited \(3\)/);
    await nerdctl.must("start", "renamed");
    await nerdctl.must("kill", "renamed");
    expect(await nerdctl.must("wait", "renamed")).toBe("137");
  });

  test("starts again what its policy says", async () => {
    const script = "echo up; rm -f /end; until [ -e /end ]; do sleep 0.05; done";
    await nerdctl.must("run", "--detach", "--name", "again", "--restart", "always", image, "sh", "-c", script);
    const starts = async (): Promise<number> =>
      (await nerdctl.must("logs", "again")).split("\n").filter(Boolean).length;
    await until(async () => (await starts()) > 0);
    const before = await starts();
    await nerdctl.must("exec", "again", "touch", "/end");
    await until(async () => (await starts()) > before);
    expect(await shown("again", ".State.Running")).toBe("true");
  });

  test("has networks on which names are known, and volumes", async () => {
    await nerdctl.must("network", "create", name);
    await nerdctl.must("run", "--detach", "--name", "first", "--network", name, image, "sleep", "1000");
    expect(await nerdctl.must("run", "--rm", "--network", name, image, "ping", "-c", "1", "first")).toContain(
      " 0% packet loss",
    );
    await nerdctl.must("rm", "--force", "first");
    await nerdctl.must("network", "rm", name);
    const kept = ["--volume", "kept:/kept"];
    await nerdctl.must("run", "--rm", ...kept, image, "sh", "-c", "echo kept >/kept/file");
    expect(await nerdctl.must("run", "--rm", ...kept, image, "cat", "/kept/file")).toBe("kept");
    await nerdctl.must("volume", "rm", "kept");
  });

  const registered = noRegistry === undefined ? "" : ` (skipped: ${noRegistry})`;
  test.skipIf(noRegistry !== undefined)(`pushes and pulls images${registered}`, async () => {
    await using proxied = await LocalRegistry.start(folder.join("registry"));
    // The registry is outside of the network namespace: what nerdctl transfers itself, it transfers from here.
    const outside = new Nerdctl(folder.join("n"), daemon.address, name, { ...network, behind: [] });
    const reference = `${proxied.host}/kept/busybox:1`;
    await nerdctl.must("tag", image, reference);
    await outside.must("push", reference);
    await nerdctl.must("rmi", reference);
    await outside.must("pull", reference);
    expect(await nerdctl.must("run", "--rm", reference, "echo", "pulled")).toBe("pulled");
    await nerdctl.must("rmi", reference);
  });

  test("commits, saves, loads, converts and prunes images", async () => {
    await nerdctl.run(["run", "--name", "changed", image, "sh", "-c", "echo changed >/made"]);
    expect(await nerdctl.must("diff", "changed")).toContain("A /made");
    await nerdctl.must("commit", "changed", "changed:1");
    await nerdctl.must("rm", "changed");
    await nerdctl.must("save", "--output", folder.join("saved.tar"), "changed:1");
    await nerdctl.must("rmi", "changed:1");
    await nerdctl.must("load", "--input", folder.join("saved.tar"));
    expect(await nerdctl.must("run", "--rm", "changed:1", "cat", "/made")).toBe("changed");
    await nerdctl.must("image", "convert", "--oci", "--zstd", "changed:1", "zstd:1");
    expect(await nerdctl.must("run", "--rm", "zstd:1", "cat", "/made")).toBe("changed");
    expect(await nerdctl.must("image", "inspect", "--format", "{{.Os}}", "zstd:1")).toBe("linux");
    await nerdctl.must("rmi", "zstd:1", "changed:1");
    expect(await nerdctl.must("images", "--quiet")).toMatch(/^[0-9a-f]{12}$/);
  });

  test("composes", async () => {
    mkdirSync(folder.join("compose"));
    const file = folder.join("compose", "compose.yaml");
    const services = {
      web: {
        image,
        command: ["sh", "-c", "mkdir /www; echo composed >/www/index.html; exec httpd -f -h /www"],
        ports: ["8090:80"],
      },
      other: { image, depends_on: ["web"], command: ["sleep", "1000"] },
    };
    writeFileSync(file, JSON.stringify({ services }));
    const compose = (...args: string[]) =>
      nerdctl.must("compose", "--file", file, "--project-name", name.toLowerCase(), ...args);
    await compose("up", "--detach");
    expect((await compose("ps", "--services")).split("\n").sort()).toEqual(["other", "web"]);
    await until(async () => (await fetched("http://127.0.0.1:8090/")) === "composed\n");
    expect(await compose("exec", "--no-TTY", "other", "wget", "-qO-", "http://web/")).toBe("composed");
    await compose("down");
    expect(await nerdctl.must("ps", "--all", "--quiet")).toBe("");
  });

  test("reports what happens, in its order", async () => {
    const { command, env } = nerdctl;
    const follow = [...command, "events", "--format", "{{.Namespace}} {{.Topic}}"];
    const events = Bun.spawn(follow, { env: { ...process.env, ...env }, stdout: "pipe", stderr: "inherit" });
    try {
      const seen = topics(events.stdout, name);
      // Until something is told, it may not have subscribed yet.
      const first = seen.next();
      await until(async () => {
        await nerdctl.must("tag", image, "told:0");
        await nerdctl.must("rmi", "told:0");
        return (await Promise.race([first, Bun.sleep(100)])) !== undefined;
      });
      await nerdctl.must("run", "--detach", "--name", "told", image, "sleep", "1000");
      await nerdctl.must("exec", "told", "true");
      await nerdctl.must("pause", "told");
      await nerdctl.must("unpause", "told");
      await nerdctl.must("rm", "--force", "told");
      await nerdctl.must("tag", image, "told:1");
      await nerdctl.must("rmi", "told:1");
      const order: string[] = [];
      for await (const topic of seen) {
        if (/^\/tasks\/(?!delete)|^\/containers\/(create|delete)/.test(topic)) order.push(topic);
        if (order.includes("/containers/delete") && topic === "/images/delete") break;
      }
      expect(order).toEqual([
        "/containers/create",
        "/tasks/create",
        "/tasks/start",
        "/tasks/exec-added",
        "/tasks/exec-started",
        "/tasks/exit",
        "/tasks/paused",
        "/tasks/resumed",
        "/tasks/exit",
        "/containers/delete",
      ]);
    } finally {
      events.kill("SIGKILL");
      await events.exited;
    }
  });

  const forgets = isOriginal ? " (skipped: containerd forgets them)" : "";
  test.skipIf(isOriginal)(`keeps exit statuses through a kill of the daemon${forgets}`, async () => {
    await nerdctl.must("run", "--detach", "--name", "stays", image, "sleep", "1000");
    const wait = "until [ -e /end ]; do sleep 0.05; done; exit 42";
    await nerdctl.must("run", "--detach", "--name", "ends", image, "sh", "-c", wait);
    const [stays, ends] = await Promise.all([shown("stays", ".State.Pid"), shown("ends", ".State.Pid")]);
    await daemon.stop("SIGKILL");
    writeFileSync(`/proc/${ends}/root/end`, "");
    await until(async () => !isAlive(Number(ends)));
    daemon = await startDaemon();
    expect(await nerdctl.must("exec", "stays", "echo", "alive")).toBe("alive");
    expect(await shown("stays", ".State.Pid")).toBe(stays);
    expect(await status("ends")).toMatch(/^Exited \(42\)/);
  });
});

/** Topics of a namespace's events, of lines `namespace topic`. */
async function* topics(lines: ReadableStream<Uint8Array>, namespace: string): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of lines) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) if (line.startsWith(`${namespace} `)) yield line.slice(namespace.length + 1);
  }
}

/** Asks until the answer is yes, for 30 seconds: containerd looks after its policies every ten. */
async function until(asked: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await asked())) {
    if (Date.now() > end) throw new Error("that did not happen within a minute");
    await Bun.sleep(50);
  }
}
