import { NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import type { CriDaemon } from "../../test/support/cri.ts";
import { scriptContainer } from "../../test/support/cri.ts";
import { contentOf, processesOf, ticksOf } from "../../test/support/processes.ts";
import { type Sample, timed } from "../sample.ts";
import { memoryOf } from "./memory.ts";

/** Both, as nodes. */
export interface Nodes {
  readonly hull: CriDaemon;
  readonly containerd: CriDaemon;
}

/** What idle containers run: their memory isn't the node's. */
const idle = "exec sleep 1000000";

/**
 * Runs a pod with containers that do nothing, as the kubelet does: each is started before the next is made. Unless they share their processes,
 * which `shareProcessNamespace` asks for, the kubelet says that each has its own.
 */
async function runPod(node: CriDaemon, name: string, containers: number, pid: NamespaceMode): Promise<string> {
  const linux = { securityContext: { namespaceOptions: { pid } } };
  const sandboxConfig = node.podConfig(name, { linux });
  const { podSandboxId } = await node.runtime.runPodSandbox({ config: sandboxConfig });
  for (let number = 0; number < containers; number++) {
    const config = scriptContainer(`c${number}`, idle, { linux });
    const { containerId } = await node.runtime.createContainer({ podSandboxId, config, sandboxConfig });
    await node.runtime.startContainer({ containerId });
  }
  return podSandboxId;
}

async function removePod(node: CriDaemon, podSandboxId: string): Promise<void> {
  await node.runtime.stopPodSandbox({ podSandboxId });
  await node.runtime.removePodSandbox({ podSandboxId });
}

/** A pod from RunPodSandbox to the answer to StartContainer of its one container; and its end. Both as most are, and with shared processes. */
export async function podCases(nodes: Nodes, rounds: number): Promise<Sample[]> {
  const ordinary = await livesOfPods(nodes, rounds, "pod", NamespaceMode.CONTAINER);
  return [...ordinary, ...(await livesOfPods(nodes, rounds, "pod of shared processes", NamespaceMode.POD))];
}

async function livesOfPods(nodes: Nodes, rounds: number, what: string, pid: NamespaceMode): Promise<Sample[]> {
  const sample = (name: string): Sample => ({ name, unit: "ms", hull: [], containerd: [], paired: true });
  const start = { ...sample(`${what}: run, create, start`), target: 0.7 };
  const end = sample(`${what}: stop, remove`);
  for (let round = -1; round < rounds; round++) {
    for (const side of ["hull", "containerd"] as const) {
      let id = "";
      const started = await timed(async () => {
        id = await runPod(nodes[side], `start-${round}-${pid}`, 1, pid);
      });
      const ended = await timed(() => removePod(nodes[side], id));
      if (round < 0) continue; // the first warms both up
      start[side].push(started);
      end[side].push(ended);
    }
  }
  return [start, end];
}

/** A node with many pods of two containers: how long until all run, what they cost, and what being asked as the kubelet asks costs. */
export async function nodeCases(
  nodes: Nodes,
  { pods, seconds, restMs }: { pods: number; seconds: number; restMs: number },
): Promise<Sample[]> {
  const sample = (name: string, unit: Sample["unit"]): Sample => ({ name, unit, hull: [], containerd: [], target: 1 });
  const start = sample(`${pods} pods of 2 containers: until all run`, "ms");
  const cpu = sample(`… processor for that, node's processes`, "ms");
  const perPod = sample(`… memory of a pod's shims and pause: PSS`, "MiB");
  const daemon = sample(`… daemon at rest: RSS`, "MiB");
  const polling = sample(`… processor a second, asked as the kubelet asks: daemon`, "ms");
  const pollingAll = sample(`… the same with shims`, "ms");
  const asked = sample(`… daemon asked so: RSS`, "MiB");
  const askedPss = sample(`… daemon asked so: PSS`, "MiB");
  const end = sample(`… until all are removed`, "ms");
  for (const side of ["hull", "containerd"] as const) {
    const node = nodes[side];
    const names = Array.from({ length: pods }, (_, number) => `node-${number}`);
    const ids: string[] = [];
    const before = processorOf(node);
    start[side].push(
      await timed(() =>
        sideBySide(names, async (name) => void ids.push(await runPod(node, name, 2, NamespaceMode.CONTAINER))),
      ),
    );
    cpu[side].push(processorOf(node) - before);
    // What the last calls left behind is put away.
    await Bun.sleep(restMs);
    const others = processesOf(node).filter((pid) => pid !== node.server.pid && !isIdle(pid));
    perPod[side].push(others.reduce((sum, pid) => sum + memoryOf(pid, "Pss"), 0) / pods);
    daemon[side].push(memoryOf(node.server.pid, "VmRSS"));
    // What is found out once, when it is asked for, is no part of it.
    await pollAsKubelet(node, 2);
    const atRest = { all: processorOf(node), daemon: ticksOf(node.server.pid) };
    await pollAsKubelet(node, seconds);
    pollingAll[side].push((processorOf(node) - atRest.all) / seconds);
    polling[side].push((ticksOf(node.server.pid) - atRest.daemon) / seconds);
    asked[side].push(memoryOf(node.server.pid, "VmRSS"));
    askedPss[side].push(memoryOf(node.server.pid, "Pss"));
    end[side].push(await timed(() => sideBySide(ids, (id) => removePod(node, id))));
  }
  return [start, cpu, perPod, daemon, polling, pollingAll, asked, askedPss, end];
}

/** Lists every second, stats every ten, as the kubelet's PLEG and its eviction manager do. */
async function pollAsKubelet({ runtime, images }: CriDaemon, seconds: number): Promise<void> {
  const start = performance.now();
  for (let second = 0; second < seconds; second++) {
    await Promise.all([runtime.listPodSandbox({}), runtime.listContainers({})]);
    if (second % 5 === 0) await runtime.status({});
    if (second % 10 === 0) await Promise.all([runtime.listContainerStats({}), images.imageFsInfo({})]);
    await Bun.sleep(Math.max(0, start + (second + 1) * 1000 - performance.now()));
  }
}

/** Works on all, eight at a time. */
async function sideBySide<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const rest = all.values();
  const worker = async (): Promise<void> => {
    for (const one of rest) await work(one);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

const isIdle = (pid: number): boolean => contentOf(`/proc/${pid}/cmdline`) === "sleep\x001000000\0";

/** Milliseconds of processor that a node's processes have taken, with those that they have waited for. */
const processorOf = (node: CriDaemon): number => processesOf(node).reduce((sum, pid) => sum + ticksOf(pid), 0);
