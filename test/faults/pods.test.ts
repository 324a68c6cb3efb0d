/**
 * The daemon is killed at random moments of pods' lives: what it had answered for is there afterwards, what ended meanwhile ended with its
 * true status, and in the end all can be taken away, with every network, mount, control group, process and file of it.
 *
 *   HULL_ROUNDS=30 HULL_SEED=2 bun test test/faults/pods.test.ts
 */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { ContainerState, NamespaceMode, PodSandboxState } from "@hull/api/gen/cri/v1/cri";
import { type Cgroup, cgroupAt } from "@hull/sys/cgroup";
import { Random } from "../fuzz/mutate.ts";
import { CriDaemon, noPods, type PodConfig, scriptContainer, writePodImages } from "../support/cri.ts";
import { isAlive } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { processesBelow } from "../support/store-state.ts";
import { eventually } from "./store.ts";

setDefaultTimeout(60_000);

const rounds = Number(process.env.HULL_ROUNDS ?? 5);
const seed = Number(process.env.HULL_SEED ?? 20_260_101);

/** A container, as far as its client knows. */
interface Known {
  readonly name: string;
  /** Status that it ends with; undefined for one that goes on. */
  readonly status: number | undefined;
  id?: string;
  /** Whether the client was told that it runs. */
  started: boolean;
}

/** A pod, as far as its client knows. */
interface KnownPod {
  readonly name: string;
  readonly containers: Known[];
  id?: string;
  /** How far its end was asked for, and whether that was answered. */
  end?: "stopping" | "stopped" | "removing" | "removed";
}

describe.skipIf(noPods !== undefined)(`kills amid pods${noPods === undefined ? "" : ` (skipped: ${noPods})`}`, () => {
  let folder: Scratch;
  let daemon: CriDaemon;
  let empty: Left;

  beforeEach(async () => {
    folder = scratch();
    const archive = folder.join("images.tar");
    writePodImages(archive);
    daemon = await CriDaemon.start("hull", folder.join("h"), archive);
    // The first pod brings what stays: the bridge, directories.
    await beginPod(daemon, { name: "first", containers: [] }, {});
    await daemon.removePods();
    await daemon.stop();
    await daemon.boot();
    empty = await leftOf(daemon);
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
    await eventually(() => expect(processesBelow(folder.join("h"))).toEqual([]));
    folder[Symbol.dispose]();
  });

  test(`${rounds} times (seed ${seed})`, async () => {
    const random = new Random(seed);
    let pods: KnownPod[] = [];
    const seen = { pods: 0, running: 0, ended: 0, removed: 0 };

    for (let round = 0; round < rounds; round++) {
      const begin = async (worker: number): Promise<void> => {
        for (let number = 0; number < 3; number++) {
          const name = `pod-${round}-${worker}-${number}`;
          const status = 1 + random.below(120);
          const containers: Known[] = [
            { name: "goes-on", status: undefined, started: false },
            { name: "ends", status, started: false },
          ];
          const pod: KnownPod = { name, containers };
          pods.push(pod);
          // Those whose processes see each other have a process of their own.
          const pid = random.below(3) === 0 ? NamespaceMode.POD : NamespaceMode.CONTAINER;
          await beginPod(daemon, pod, { linux: { securityContext: { namespaceOptions: { pid } } } });
        }
      };
      const end = async (): Promise<void> => {
        for (const pod of pods.filter(({ id }) => id !== undefined && random.below(2) === 0)) {
          const podSandboxId = pod.id ?? "";
          pod.end = "stopping";
          await daemon.runtime.stopPodSandbox({ podSandboxId });
          pod.end = "stopped";
          if (random.below(4) === 0) continue;
          pod.end = "removing";
          await daemon.runtime.removePodSandbox({ podSandboxId });
          pod.end = "removed";
        }
      };
      const work = Promise.allSettled([begin(0), begin(1), end()]);
      await Bun.sleep(random.below(2500));
      await daemon.stop("SIGKILL");
      await work;
      await daemon.boot();
      pods = await expectTrue(daemon, pods, seen);
    }
    await daemon.removePods();
    await eventually(async () => expect(await leftOf(daemon)).toEqual(empty));
    expect(daemon.server.log()).not.toMatch(/uncaught exception|unhandled rejection/);
    console.log(`${rounds} kills amid pods (seed ${seed}): ${JSON.stringify(seen)}`);
    if (rounds >= 20) expect(Object.values(seen)).not.toContain(0);
  }, 1_800_000);

  test("twelve pods that come and go leave nothing, nor an open file", async () => {
    const live = async (count: number): Promise<void> => {
      const names = Array.from({ length: count }, (_, number) => `pod-${number}`);
      const containers = (): Known[] => [{ name: "goes-on", status: undefined, started: false }];
      await Promise.all(names.map((name) => beginPod(daemon, { name, containers: containers() }, {})));
      await daemon.removePods();
    };
    // Afterwards as many spare shims are kept as ever are, once those of the rush have gone.
    await live(8);
    await eventually(async () => expect(await leftOf(daemon)).toEqual(empty));
    const spares = () => processesBelow(daemon.folder).filter(({ line }) => / spare$/.test(line));
    await eventually(() => expect(spares().length).toBeLessThanOrEqual(3));
    const files = openFiles(daemon.server.pid);
    await live(12);
    await eventually(async () => expect(await leftOf(daemon)).toEqual(empty));
    await eventually(() => expect(openFiles(daemon.server.pid)).toBeLessThanOrEqual(files));
  });
});

/** How many files a process has open, without what programs that have ended were given to read: the runtime closes that when it collects. */
const openFiles = (pid: number): number =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => !targetOf(`/proc/${pid}/fd/${fd}`).startsWith("/memfd:")).length;

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return ""; // closed meanwhile
  }
}

/** Runs a pod and its containers until a call fails because the daemon is gone. */
async function beginPod(daemon: CriDaemon, pod: KnownPod, config: PodConfig): Promise<void> {
  const sandboxConfig = daemon.podConfig(pod.name, config);
  const { podSandboxId } = await daemon.runtime.runPodSandbox({ config: sandboxConfig });
  pod.id = podSandboxId;
  for (const container of pod.containers) {
    const script = container.status === undefined ? "exec sleep 1000000" : `sleep 0.3; exit ${container.status}`;
    const made = scriptContainer(container.name, script);
    const { containerId } = await daemon.runtime.createContainer({ podSandboxId, config: made, sandboxConfig });
    container.id = containerId;
    await daemon.runtime.startContainer({ containerId });
    container.started = true;
  }
}

/** What was answered for is so. Gives the pods that are still there. */
async function expectTrue(
  daemon: CriDaemon,
  pods: readonly KnownPod[],
  seen: Record<"pods" | "running" | "ended" | "removed", number>,
): Promise<KnownPod[]> {
  const { items } = await daemon.runtime.listPodSandbox({});
  const states = new Map(items.map(({ id, state }) => [id, state]));
  const addresses = new Set<string>();
  for (const { id } of items.filter(({ state }) => state === PodSandboxState.SANDBOX_READY)) {
    const { status } = await daemon.runtime.podSandboxStatus({ podSandboxId: id });
    expect(status?.network?.ip).toMatch(/^10\.77\./);
    addresses.add(status?.network?.ip ?? "");
  }
  const ready = [...states.values()].filter((state) => state === PodSandboxState.SANDBOX_READY);
  expect(addresses.size).toBe(ready.length);
  for (const { id, name, end, containers } of pods) {
    if (id === undefined) continue;
    if (end === "removed") {
      expect({ name, there: states.has(id) }).toEqual({ name, there: false });
      seen.removed++;
      continue;
    }
    if (end === "removing") continue;
    expect({ name, there: states.has(id) }).toEqual({ name, there: true });
    seen.pods++;
    if (end === "stopping") continue;
    const state = end === undefined ? PodSandboxState.SANDBOX_READY : PodSandboxState.SANDBOX_NOTREADY;
    expect({ name, state: states.get(id) }).toEqual({ name, state });
    for (const container of containers.filter(({ started }) => started && end === undefined)) {
      await expectContainer(daemon, name, container);
      seen[container.status === undefined ? "running" : "ended"]++;
    }
  }
  return pods.filter(({ id }) => id !== undefined && states.has(id));
}

/** One that was started goes on and takes commands, or ends with its own status. */
async function expectContainer(daemon: CriDaemon, pod: string, { name, status, id = "" }: Known): Promise<void> {
  if (status === undefined) {
    const { exitCode } = await daemon.runtime.execSync({ containerId: id, cmd: ["true"], timeout: 10n });
    expect({ pod, name, exitCode }).toEqual({ pod, name, exitCode: 0 });
  }
  const wanted = status === undefined ? ContainerState.CONTAINER_RUNNING : ContainerState.CONTAINER_EXITED;
  await eventually(async () => {
    const { status: found } = await daemon.runtime.containerStatus({ containerId: id });
    expect({ pod, name, state: found?.state, exitCode: found?.exitCode }).toEqual({
      ...{ pod, name, state: wanted, exitCode: status ?? 0 },
    });
  });
}

/** What a daemon that has no pods may have on the machine. */
interface Left {
  readonly records: string;
  readonly networks: string;
  readonly addresses: string[];
  readonly attachments: string;
  readonly mounts: string[];
  readonly cgroups: string[];
  readonly processes: string[];
  readonly directories: string[];
  readonly snapshots: string;
}

async function leftOf(daemon: CriDaemon): Promise<Left> {
  const { machine, root, state, cgroup, server, addresses } = daemon;
  const output = async (...command: string[]): Promise<string> => (await machine.run(command)).stdout;
  const listed = async (...args: string[]): Promise<string> => (await daemon.ctr(...args)).stdout;
  const directories = [root, state].flatMap((path) =>
    namesBelow(path)
      .filter((name) => name.startsWith("io.containerd.grpc.v1.cri") || name.includes("runtime"))
      .flatMap((name) => namesBelow(join(path, name)).flatMap((kind) => namesBelow(join(path, name, kind)))),
  );
  return {
    records: await listed("containers", "ls", "-q"),
    networks: await output("ls", "/run/netns"),
    addresses: namesBelow(join(addresses, "pods")).filter((name) => /^\d/.test(name)),
    attachments: await output("sh", "-c", "ls /var/lib/cni/results 2>/dev/null; ip -o link | grep -c veth"),
    // Those of the host that were there when the machine was made come and go.
    mounts: machine
      .mounts()
      .filter((target) => target.startsWith(`${daemon.folder}/`) || target.startsWith("/run"))
      .toSorted(),
    cgroups: directoriesOf(cgroupAt(cgroup)).flatMap((path) =>
      namesBelow(path).filter((name) => /^[0-9a-f]{64}$/.test(name)),
    ),
    // Shims that wait for work are the daemon's to keep.
    processes: processesBelow(daemon.folder)
      .filter(({ pid, line }) => pid !== server.pid && isAlive(pid) && !/ spare$/.test(line))
      .map(({ line }) => line.replace(/\d+/g, "N"))
      .toSorted(),
    directories,
    snapshots: await listed("snapshots", "ls"),
  };
}

const directoriesOf = ({ controllers, unified }: Cgroup): string[] => [
  ...Object.values(controllers),
  ...(unified === undefined ? [] : [unified]),
];

function namesBelow(path: string): string[] {
  try {
    return readdirSync(path).toSorted();
  } catch {
    return [];
  }
}
