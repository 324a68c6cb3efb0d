/** Checkpoint and restore by the real CRIU, where it works: what a process had in memory goes on from there. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import {
  type ContainerConfig,
  NamespaceMode,
  type PodSandboxConfig,
  RuntimeServiceDefinition,
} from "@hull/api/gen/cri/v1/cri";
import type { PartialOf } from "@hull/api/rpc";
import { type Client, connect } from "@hull/client/client";
import { cgroupMode, parseCgroupFile } from "@hull/sys/cgroup";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { image } from "../support/busybox.ts";
import { type Daemon, noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

/** Why CRIU can't be had here, in its own words. */
function noCriu(): string | undefined {
  const { error, status, stderr } = spawnSync("criu", ["check"], { encoding: "utf8" });
  if (error !== undefined) return "criu is not installed";
  return status === 0 ? undefined : `criu check: ${stderr.trim().split("\n").at(-1)}`;
}

const lacking = noContainerd ?? noCriu();
const suite = lacking === undefined ? describe : describe.skip;

/** CRIU works in virtual machines at least, which may be emulated: one is slow. */
const slowMs = 600_000;

/** Of ctr: how long it waits for an answer and for the connection. */
const waiting = ["--timeout", "300s", "--connect-timeout", "300s"];

const config = `version = 3
[plugins."io.containerd.runtime.v2.task"]
oci_runtime = "runc"
[plugins."io.containerd.cri.v1.runtime"]
enable_experimental_restore_via_create = true
`;

/** The mark is in the shell's memory alone: a process that began anew would have another. */
const mark = "m=$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$((i+1));";

suite(`CRIU${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  let folder: Scratch;
  let daemon: Daemon;
  beforeAll(async () => {
    folder = scratch();
    daemon = await startHull(folder.path, config, { limitMs: slowMs });
    writeBusyboxImage(folder.join("busybox.tar"), image);
    await ctr("images", "import", folder.join("busybox.tar"));
    await ctr("--namespace", "k8s.io", "images", "import", folder.join("busybox.tar"));
  }, slowMs);
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const command = (...args: string[]) => ["ctr", "--address", daemon.address, ...waiting, ...args];
  async function run(argv: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await runProgram(argv, { timeoutMs: slowMs });
    if (status !== 0) throw new Error(`${argv.join(" ")}: status ${status}\n${stdout}${stderr}`);
    return stdout;
  }
  const ctr = (...args: string[]): Promise<string> => run(command(...args));

  /** A mark and a number from a line that ends in them. */
  const countIn = (line: string): { mark: string; count: number } => {
    const [mark = "", count = ""] = line.trim().split(" ").slice(-2);
    return { mark, count: Number(count) };
  };

  /** The control groups of a process in the hierarchies that runc makes one in, each once. */
  const cgroupsOf = (pid: number): string[] => {
    const paths = parseCgroupFile(readFileSync(`/proc/${pid}/cgroup`, "utf8"));
    const unified = cgroupMode() === "v2";
    const taken = [...paths].filter(([controller]) => (controller === "") === unified).map(([, path]) => path);
    return [...new Set(taken)];
  };

  /** Takes a checkpoint, ends the container, and makes another of it. */
  async function moved(from: string, to: string): Promise<void> {
    const name = `example.com/${from}:1`;
    await ctr("containers", "checkpoint", "--image", "--rw", "--task", from, name);
    await ctr("tasks", "rm", "-f", from).catch(() => {});
    await ctr("containers", "rm", from);
    await ctr("containers", "restore", "--live", to, name);
  }

  async function removed(id: string): Promise<void> {
    await ctr("tasks", "rm", "-f", id).catch(() => {});
    await ctr("containers", "rm", id);
  }

  test(
    "a counter goes on counting in a container made of the checkpoint",
    async () => {
      await ctr("run", "-d", "--null-io", image, "counts", "sh", "-c", `${mark} echo $m $i > /n; sleep 0.1; done`);
      let execs = 0;
      const state = async (id: string) =>
        countIn(await ctr("tasks", "exec", "--exec-id", `e${execs++}`, id, "cat", "/n"));
      /** Waits until it has counted beyond a number. */
      const beyond = async (id: string, number: number) => {
        for (;;) {
          const now = await state(id);
          if (now.count > number) return now;
        }
      };
      const before = await beyond("counts", 5);
      await moved("counts", "again");
      const restored = await beyond("again", before.count);
      expect(restored.mark).toBe(before.mark);
      await moved("again", "thrice");
      expect((await beyond("thrice", restored.count)).mark).toBe(before.mark);
      await removed("thrice");
    },
    slowMs,
  );

  test(
    "FIFOs of a client are joined anew",
    async () => {
      await ctr("run", "-d", image, "talks", "sh", "-c", `${mark} echo $m $i; sleep 0.1; done`);
      /** What a client that attaches, and is killed then, is told first. */
      const heard = async (id: string) => {
        const [program = "", ...args] = command("tasks", "attach", id);
        const client = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"] });
        const lines: string[] = [];
        for await (const line of createInterface(client.stdout)) if (lines.push(line) === 3) break;
        client.kill("SIGKILL");
        return lines.map(countIn);
      };
      const [before] = await heard("talks");
      await moved("talks", "talks2");
      const lines = await heard("talks2");
      expect(lines.map(({ mark }) => mark)).toEqual(lines.map(() => before?.mark ?? ""));
      expect(lines.length).toBe(3);
      await removed("talks2");
    },
    slowMs,
  );

  describe("of Kubernetes", () => {
    let client: Client;
    beforeAll(async () => {
      client = await connect({ address: daemon.address, namespace: "k8s.io", timeoutMs: slowMs });
    });
    afterAll(() => client[Symbol.asyncDispose]());

    const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    const namespaces = { network: NamespaceMode.NODE, pid: NamespaceMode.CONTAINER };
    const linux = { securityContext: { namespaceOptions: namespaces } };
    const containerConfig = (name: string, config: PartialOf<typeof ContainerConfig>) => ({
      metadata: { name },
      logPath: `${name}.log`,
      linux,
      ...config,
    });

    test(
      "a container is made from an archive, goes on where it was, and logs on behind what it had logged",
      async () => {
        const runtime = client.service(RuntimeServiceDefinition);
        const logDirectory = folder.join("logs");
        const metadata = { name: "criu", uid: "criu", namespace: "tests" };
        const sandboxConfig: PartialOf<typeof PodSandboxConfig> = { metadata, logDirectory, linux };
        const { podSandboxId } = await runtime.runPodSandbox({ config: sandboxConfig });
        const create = async (name: string, config: PartialOf<typeof ContainerConfig>): Promise<string> => {
          const request = { podSandboxId, sandboxConfig, config: containerConfig(name, config) };
          const { containerId } = await runtime.createContainer(request);
          await runtime.startContainer({ containerId });
          return containerId;
        };
        const logged = (name: string) =>
          readFileSync(folder.join("logs", `${name}.log`), "utf8")
            .trim()
            .split("\n");
        const longer = async (name: string, length: number): Promise<string[]> => {
          while (logged(name).length <= length) await Bun.sleep(100);
          return logged(name);
        };
        const script = `echo changed > /file; ${mark} echo $m $i; sleep 0.1; done`;
        const first = await create("first", { image: { image }, command: ["sh", "-c", script] });
        await longer("first", 3);
        const location = folder.join("checkpoint.tar");
        await runtime.checkpointContainer({ containerId: first, location });
        await runtime.stopContainer({ containerId: first });
        await runtime.removeContainer({ containerId: first });
        const second = await create("second", { image: { image: location } });
        const early = logged("second").length;
        const lines = (await longer("second", early + 3)).map(countIn);
        expect(new Set(lines.map(({ mark }) => mark)).size).toBe(1);
        expect(lines.map(({ count }) => count)).toEqual(lines.map((_, at) => at + 1));
        const { stdout } = await runtime.execSync({ containerId: second, cmd: ["cat", "/file"] });
        expect(text(stdout)).toBe("changed\n");
        const { status, info } = await runtime.containerStatus({ containerId: second, verbose: true });
        expect(status?.annotations.restored).toBe("true");
        const { pid }: { pid: number } = JSON.parse(info.info ?? "");
        expect(cgroupsOf(pid)).toEqual([`/k8s.io/${second}`]);
        const seen = await runtime.execSync({ containerId: second, cmd: ["cat", "/proc/1/cgroup"] });
        // With version 1 containers have no cgroup namespace.
        if (cgroupMode() === "v2") expect(text(seen.stdout)).toEndWith("0::/\n");
        await runtime.checkpointContainer({ containerId: second, location });
        await runtime.stopContainer({ containerId: second });
        await runtime.removeContainer({ containerId: second });
        const third = await create("third", { image: { image: location } });
        const later = (await longer("third", logged("third").length + 3)).map(countIn);
        expect(later.slice(0, lines.length)).toEqual(lines);
        expect(later.map(({ count }) => count)).toEqual(later.map((_, at) => at + 1));
        await runtime.removeContainer({ containerId: third });
        await runtime.stopPodSandbox({ podSandboxId });
        await runtime.removePodSandbox({ podSandboxId });
      },
      slowMs,
    );
  });
});
