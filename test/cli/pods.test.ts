/** Pods as `hull` shows them: names of Kubernetes, on a daemon with a pod that runs one container and has had another. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { CriDaemon, noPods, scriptContainer, writePodImages } from "../support/cri.ts";
import { hullCommand, startHull } from "../support/hull.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

describe.skipIf(noPods !== undefined)(noPods === undefined ? "pods" : `pods (skipped: ${noPods})`, () => {
  let folder: Scratch;
  let daemon: CriDaemon;
  let pod: string;
  let busy: string;

  const hull = (...args: string[]): Promise<Outcome> =>
    runProgram([...hullCommand, "--address", daemon.address, ...args]);
  const out = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await hull(...args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return stdout;
  };
  const words = (text: string): string[] => text.trim().split(/ {2,}/);

  beforeAll(async () => {
    folder = scratch();
    const archive = folder.join("images.tar");
    writePodImages(archive);
    daemon = await CriDaemon.start("hull", folder.join("d"), archive);
    const config = daemon.podConfig("web", { labels: { app: "shop" }, annotations: { note: "kept" } });
    mkdirSync(config.logDirectory ?? "", { recursive: true });
    pod = (await daemon.runtime.runPodSandbox({ config })).podSandboxId;
    const make = async (name: string, script: string) => {
      const made = scriptContainer(name, script, { labels: { part: name } });
      const container = { podSandboxId: pod, config: made, sandboxConfig: config };
      const { containerId } = await daemon.runtime.createContainer(container);
      await daemon.runtime.startContainer({ containerId });
      return containerId;
    };
    busy = await make("busy", "echo first; echo second; sleep 1000");
    const once = await make("once", "echo out; echo err >&2; printf rest; exit 3");
    for (let tries = 0; tries < 2000; tries++) {
      const { status } = await daemon.runtime.containerStatus({ containerId: once });
      if (status !== undefined && status.state === 2) break;
      await Bun.sleep(20);
    }
  }, 120_000);
  afterAll(async () => {
    await daemon.removePods();
    await daemon[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test("are listed with their containers and addresses", async () => {
    const [heading = "", row = "", ...more] = (await out("pods")).trimEnd().split("\n");
    expect(words(heading)).toEqual(["POD ID", "NAMESPACE", "NAME", "STATUS", "CREATED", "CONTAINERS", "IP"]);
    const [id, namespace, name, status, , containers, address] = words(row);
    expect([id, namespace, name, status, containers]).toEqual([pod.slice(0, 12), "tests", "web", "Ready", "1/2"]);
    expect(address).toMatch(/^10\.77\.\d+\.\d+$/);
    expect(more).toEqual([]);
    expect(await out("pods", "-q", "--no-trunc")).toBe(`${pod}\n`);
    for (const filter of [
      "name=we",
      "namespace=tests",
      "label=app",
      "label=app=shop",
      "status=ready",
      `id=${pod.slice(0, 5)}`,
    ])
      expect(await out("pods", "-q", "--filter", filter)).not.toBe("");
    for (const filter of ["name=db", "namespace=test", "label=app=other", "status=notready", "label=constructor"])
      expect(await out("pods", "-q", "--filter", filter)).toBe("");
    expect(await hull("pods", "--filter", "x=1")).toMatchObject({
      status: 1,
      stderr: 'hull: filter "x=1" is not one of id=, name=, namespace=, label=, status=\n',
    });
  });

  test("have containers that ps shows beside nothing else", async () => {
    const rows = (await out("ps", "--pods")).trimEnd().split("\n").slice(1);
    expect(rows).toHaveLength(1);
    const [id, image, , status = "", ...names] = words(rows[0] ?? "");
    expect([id, image, ...names]).toEqual([busy.slice(0, 12), "busybox", "tests", "web", "busy"]);
    expect(status).toStartWith("Up ");
    const format = "{{.Namespace}}/{{.Pod}} {{.Names}} {{.State}}";
    expect((await out("ps", "--pods", "-a", "--format", format)).trimEnd().split("\n")).toEqual([
      "tests/web once exited",
      "tests/web busy running",
    ]);
    expect(await out("ps", "--pods", "-a", "--filter", "status=exited", "--format", "{{.Names}}")).toBe("once\n");
    expect(await out("ps", "--pods", "--filter", "pod=web", "--filter", "label=part=busy", "-q", "--no-trunc")).toBe(
      `${busy}\n`,
    );
    expect(await out("ps", "-aq")).toBe("");
  });

  test("are inspected by id, name, and namespace with name", async () => {
    for (const key of [pod, pod.slice(0, 10), "web", "tests/web"]) {
      const [shown] = JSON.parse(await out("inspect", key));
      expect(shown).toMatchObject({
        Id: pod,
        Name: "web",
        Namespace: "tests",
        Uid: "uid-web",
        State: "ready",
        Labels: { app: "shop" },
        Annotations: { note: "kept" },
        Network: { AdditionalIPs: [] },
      });
      const names = shown.Containers.map(({ Name, State, ExitCode }: Record<string, unknown>) => [
        Name,
        State,
        ExitCode,
      ]);
      expect(names.sort()).toEqual([
        ["busy", "running", 0],
        ["once", "exited", 3],
      ]);
      expect(shown.Info.info.config.metadata.name).toBe("web");
    }
    expect(await out("inspect", "--type", "pod", "-f", "{{.Name}}", "web")).toBe("web\n");
    expect(await hull("inspect", "tests/wed")).toMatchObject({
      status: 1,
      stderr: 'hull: no such container, image or pod: "tests/wed"; did you mean "tests/web"?\n',
    });
  });

  test("have containers whose logs are printed as they were written", async () => {
    const logged = (...args: string[]) => hull("logs", ...args);
    const once = { status: 0, stdout: "out\nrest", stderr: "err\n" };
    expect(await logged("web/once")).toEqual(once);
    expect(await logged("-f", "tests/web/once")).toEqual(once);
    expect(await logged("--tail", "1", "web/busy")).toEqual({ status: 0, stdout: "second\n", stderr: "" });
    expect(await logged("tests/web")).toMatchObject({ status: 1, stdout: "" });
    expect((await logged("tests/web")).stderr).toContain(
      'pod "tests/web" has several containers: say one of tests/web/',
    );
    expect((await logged("web/other")).stderr).toContain('pod "tests/web" has no container "other": it has ');
    expect((await logged("wed/once")).stderr).toContain('no such pod: "wed"');
  });

  test("aren't there where the daemon has no CRI", async () => {
    const config = 'version = 3\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n';
    await using other = await startHull(folder.join("other"), config);
    const run = (...args: string[]) => runProgram([...hullCommand, "--address", other.address, ...args]);
    const text = 'hull: the daemon has no pods: its plugin "io.containerd.grpc.v1.cri" is disabled\n';
    expect(await run("pods")).toMatchObject({ status: 1, stderr: text });
    expect(await run("inspect", "web")).toMatchObject({
      status: 1,
      stderr: 'hull: no such container, image or pod: "web"\n',
    });
  });
});
