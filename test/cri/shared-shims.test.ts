/** Pods that share a shim of hull's own: what becomes of one is no affair of the other's, unless the shim itself ends. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ContainerEventType, ContainerState, NamespaceMode, PodSandboxState } from "@hull/api/gen/cri/v1/cri";
import { eventually } from "../faults/store.ts";
import { CriDaemon, noPods, type PodConfig, scriptContainer, writePodImages } from "../support/cri.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { processesBelow } from "../support/store-state.ts";

setDefaultTimeout(60_000);

const config = `
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.other]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.other.options]
  NoPivotRoot = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.keeping]
  runtime_type = "io.containerd.runc.v2"
  sandboxer = "shim"
`;

const ownPids: NamespaceMode = NamespaceMode.CONTAINER;

describe.skipIf(noPods !== undefined)(
  `pods that share a shim${noPods === undefined ? "" : ` (skipped: ${noPods})`}`,
  () => {
    let folder: Scratch;
    let daemon: CriDaemon;

    beforeAll(async () => {
      folder = scratch();
      const archive = folder.join("images.tar");
      writePodImages(archive);
      daemon = await CriDaemon.start("hull", folder.join("h"), archive, config);
    });
    afterAll(async () => {
      await daemon[Symbol.asyncDispose]();
      await eventually(() => expect(processesBelow(folder.join("h"))).toEqual([]));
      folder[Symbol.dispose]();
    });
    afterEach(() => daemon.removePods());

    /** A pod with one container that writes a line when it starts, and then whenever its file is touched. */
    async function run(name: string, { runtimeHandler = "", pid = ownPids } = {}) {
      const pod: PodConfig = { linux: { securityContext: { namespaceOptions: { pid } } } };
      const sandboxConfig = daemon.podConfig(name, pod);
      const { podSandboxId } = await daemon.runtime.runPodSandbox({ config: sandboxConfig, runtimeHandler });
      const script = `echo ${name}; while :; do [ -e /tmp/say ] && rm /tmp/say && echo again; sleep 0.05; done`;
      const container = scriptContainer("c", script, { linux: pod.linux });
      const { containerId } = await daemon.runtime.createContainer({ podSandboxId, config: container, sandboxConfig });
      await daemon.runtime.startContainer({ containerId });
      return { name, podSandboxId, containerId, log: join(daemon.folder, "logs", name, "c.log") };
    }

    /** Pid of the shim that keeps a container, as its machine has it. */
    async function shimOf({ containerId }: { containerId: string }): Promise<number> {
      const { info } = await daemon.runtime.containerStatus({ containerId, verbose: true });
      const { pid } = JSON.parse(info.info ?? "{}") as { pid: number };
      const parent = await daemon.machine.run(["cut", "-d", " ", "-f", "4", `/proc/${pid}/stat`]);
      return Number(parent.stdout);
    }

    const logged = ({ log }: { log: string }): string[] =>
      readFileSync(log, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => line.replace(/^\S+ /, ""));

    async function expectWell(pod: Awaited<ReturnType<typeof run>>): Promise<void> {
      const { containerId } = pod;
      const before = logged(pod).length;
      const { exitCode } = await daemon.runtime.execSync({ containerId, cmd: ["touch", "/tmp/say"], timeout: 10n });
      expect(exitCode).toBe(0);
      await eventually(() => expect(logged(pod).slice(before)).toEqual(["stdout F again"]));
      const { status } = await daemon.runtime.containerStatus({ containerId });
      expect(status?.state).toBe(ContainerState.CONTAINER_RUNNING);
    }

    test("two of a runtime, with a pause process or without; not those of other options, or of a shim that keeps pods", async () => {
      const pods = [
        await run("one"),
        await run("two", { pid: NamespaceMode.POD }),
        await run("three", { runtimeHandler: "other" }),
        await run("four", { runtimeHandler: "runc" }),
        await run("five", { runtimeHandler: "keeping" }),
        await run("six", { runtimeHandler: "keeping", pid: NamespaceMode.POD }),
        await run("seven"),
      ];
      const shims = await Promise.all(pods.map(shimOf));
      expect(shims[1]).toBe(shims[0] as number);
      expect(shims[6]).toBe(shims[3] as number);
      expect(new Set(shims).size).toBe(5);
      for (const pod of pods) expect(logged(pod)).toEqual([`stdout F ${pod.name}`]);
      for (const pod of pods) await expectWell(pod);
    });

    test("one that is removed, or whose container ends, leaves the other as it is, and nobody hears of it", async () => {
      const [stays, goes] = [await run("stays"), await run("goes")];
      const shim = await shimOf(stays);
      expect(await shimOf(goes)).toBe(shim);
      const events: ContainerEventType[] = [];
      const stop = new AbortController();
      const stream = daemon.runtime.getContainerEvents({}, { signal: stop.signal });
      const listening = (async () => {
        for await (const { containerId, containerEventType } of stream)
          if (containerId === stays.containerId) events.push(containerEventType);
      })().catch(() => undefined);
      await daemon.runtime.stopContainer({ containerId: goes.containerId, timeout: 0n });
      await expectWell(stays);
      await daemon.runtime.stopPodSandbox({ podSandboxId: goes.podSandboxId });
      await daemon.runtime.removePodSandbox({ podSandboxId: goes.podSandboxId });
      await expectWell(stays);
      const comes = await run("comes");
      expect(await shimOf(comes)).toBe(shim);
      expect(await shimOf(stays)).toBe(shim);
      stop.abort();
      await listening;
      // Of its own start, which was kept for who comes later.
      expect(events).toEqual([ContainerEventType.CONTAINER_CREATED_EVENT, ContainerEventType.CONTAINER_STARTED_EVENT]);
    });

    test("after kill -9 of the daemon both go on, and a third comes to the one that is left", async () => {
      const [first, second] = [await run("first"), await run("second")];
      const shim = await shimOf(first);
      await daemon.stop("SIGKILL");
      await daemon.boot();
      for (const pod of [first, second]) await expectWell(pod);
      await daemon.runtime.stopPodSandbox({ podSandboxId: first.podSandboxId });
      await daemon.runtime.removePodSandbox({ podSandboxId: first.podSandboxId });
      const third = await run("third");
      expect(await shimOf(third)).toBe(shim);
      for (const pod of [second, third]) await expectWell(pod);
    });

    test("when it is killed the containers of both have ended, and can be started anew", async () => {
      const [first, second] = [await run("first"), await run("second")];
      const shim = await shimOf(first);
      expect(await shimOf(second)).toBe(shim);
      await daemon.machine.run(["kill", "-9", String(shim)]);
      for (const { containerId, podSandboxId } of [first, second]) {
        await eventually(async () => {
          const { status } = await daemon.runtime.containerStatus({ containerId });
          expect(status).toMatchObject({ state: ContainerState.CONTAINER_EXITED, exitCode: 137 });
        });
        const { status } = await daemon.runtime.podSandboxStatus({ podSandboxId });
        expect(status?.state).toBe(PodSandboxState.SANDBOX_READY);
      }
      for (const { podSandboxId, name } of [first, second]) {
        const container = scriptContainer("again", "sleep 1000", { metadata: { name: "again", attempt: 1 } });
        const sandboxConfig = daemon.podConfig(name);
        const request = { podSandboxId, config: container, sandboxConfig };
        const { containerId } = await daemon.runtime.createContainer(request);
        await daemon.runtime.startContainer({ containerId });
        expect(await shimOf({ containerId })).not.toBe(shim);
      }
    });
  },
);
