/** Pods of a runtime with `sandboxer = "shim"`: its shim, here hull's own, keeps them by the sandbox API. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { CriDaemon, noPods, type PodConfig, scriptContainer, writePodImages } from "../support/cri.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);

const keeping = `
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.keeping]
  runtime_type = "io.containerd.runc.v2"
  sandboxer = "shim"
`;

const own: PodConfig = { linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER } } } };

describe.skipIf(noPods !== undefined)(
  `pods that shims keep${noPods === undefined ? "" : ` (skipped: ${noPods})`}`,
  () => {
    let folder: Scratch;
    let daemon: CriDaemon;

    beforeAll(async () => {
      folder = scratch();
      const archive = folder.join("images.tar");
      writePodImages(archive);
      daemon = await CriDaemon.start("hull", folder.join("h"), archive, keeping);
    });
    afterAll(async () => {
      await daemon[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    });
    afterEach(() => daemon.removePods());

    async function run(name: string, config: PodConfig = own): Promise<string> {
      const whole = daemon.podConfig(name, config);
      return (await daemon.runtime.runPodSandbox({ config: whole, runtimeHandler: "keeping" })).podSandboxId;
    }

    async function start(
      podSandboxId: string,
      pod: string,
      name: string,
      script: string,
      config = own,
    ): Promise<string> {
      const container = scriptContainer(name, script, { linux: { securityContext: config.linux?.securityContext } });
      const sandboxConfig = daemon.podConfig(pod, config);
      const { containerId } = await daemon.runtime.createContainer({ podSandboxId, config: container, sandboxConfig });
      await daemon.runtime.startContainer({ containerId });
      return containerId;
    }

    const bundles = (): string[] =>
      ["io.containerd.sandbox.controller.v1.shim", "io.containerd.runtime.v2.task"]
        .map((owner) => join(daemon.state, owner, "k8s.io"))
        .flatMap((directory) => (existsSync(directory) ? readdirSync(directory) : []));
    const stateOf = async (podSandboxId: string) =>
      (await daemon.runtime.podSandboxStatus({ podSandboxId })).status?.state;
    const infoOf = async (podSandboxId: string) => {
      const { info } = await daemon.runtime.podSandboxStatus({ podSandboxId, verbose: true });
      return JSON.parse(info.info ?? "{}");
    };
    const log = (pod: string, name: string): string =>
      readFileSync(join(daemon.folder, "logs", pod, `${name}.log`), "utf8").replace(/^\S+ std(out|err) F /gm, "");
    async function until(isSo: () => Promise<boolean>): Promise<void> {
      for (let tries = 0; !(await isSo()); tries++) {
        if (tries > 4000) throw new Error("it did not come to that");
        await Bun.sleep(10);
      }
    }

    test("its life: containers in the shim that keeps it, logs, exec, and nothing left", async () => {
      const id = await run("life");
      const info = await infoOf(id);
      expect(info).toMatchObject({ runtimeHandler: "keeping" });
      expect(info.pid).toBeGreaterThan(0);
      expect(bundles()).toEqual([id]);
      const containerId = await start(id, "life", "main", "hostname; ip -o addr show eth0; echo $$; sleep 1000");
      await until(async () => log("life", "main").split("\n").length > 3);
      expect(log("life", "main")).toMatch(/10\.77\.0\.\d+\/16.*\n1\n$/s);
      const exec = await daemon.runtime.execSync({ containerId, cmd: ["echo", "hi"], timeout: 10n });
      expect(new TextDecoder().decode(exec.stdout)).toBe("hi\n");
      // The pod's shim is the parent of its container.
      const { info: inside } = await daemon.runtime.containerStatus({ containerId, verbose: true });
      const { pid } = JSON.parse(inside.info ?? "{}");
      const parent = await daemon.machine.run(["cut", "-d", " ", "-f", "4", `/proc/${pid}/stat`]);
      expect(Number(parent.stdout)).toBe(info.pid);
      await daemon.runtime.stopPodSandbox({ podSandboxId: id });
      expect(await stateOf(id)).toBe(1);
      const { status } = await daemon.runtime.containerStatus({ containerId });
      expect(status?.state).toBe(2);
      await daemon.runtime.removePodSandbox({ podSandboxId: id });
      expect(bundles()).toEqual([]);
      expect((await daemon.ctr("containers", "ls", "-q")).stdout).toBe("");
      expect((await daemon.machine.run(["ls", "/run/netns"])).stdout).toBe("");
    });

    test("a killed daemon finds it again, with its containers", async () => {
      const id = await run("kept");
      const containerId = await start(id, "kept", "main", "while :; do sleep 0.1; echo on; done");
      const { pid } = await infoOf(id);
      await daemon.stop("SIGKILL");
      await daemon.boot();
      expect(await stateOf(id)).toBe(0);
      expect((await infoOf(id)).pid).toBe(pid);
      expect((await daemon.runtime.containerStatus({ containerId })).status?.state).toBe(1);
      const second = await start(id, "kept", "second", "echo here; sleep 1000");
      await until(async () => log("kept", "second") === "here\n");
      expect((await daemon.runtime.containerStatus({ containerId: second })).status?.state).toBe(1);
    });

    test("a shim that dies makes its pod not ready, and its containers end", async () => {
      const id = await run("lost");
      const containerId = await start(id, "lost", "main", "sleep 1000");
      await daemon.machine.run(["kill", "-9", String((await infoOf(id)).pid)]);
      await until(async () => (await stateOf(id)) === 1);
      await until(async () => (await daemon.runtime.containerStatus({ containerId })).status?.state === 2);
      await daemon.runtime.stopPodSandbox({ podSandboxId: id });
      await daemon.runtime.removePodSandbox({ podSandboxId: id });
      expect(bundles()).toEqual([]);
      expect((await daemon.machine.run(["ls", "/run/netns"])).stdout).toBe("");
    });

    test("one whose containers share processes has a process of its own for that", async () => {
      const shared = { linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.POD } } } };
      const id = await run("shared", shared);
      const first = await start(id, "shared", "first", "sleep 1000", shared);
      await start(id, "shared", "second", "ps -o pid,args; readlink /proc/1/ns/pid", shared);
      await until(async () => log("shared", "second").includes("pid:["));
      expect(log("shared", "second")).toContain("sleep 1000");
      expect(log("shared", "second")).not.toContain("daemon");
      expect((await daemon.runtime.containerStatus({ containerId: first })).status?.state).toBe(1);
    });
  },
);
