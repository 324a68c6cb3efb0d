import { describe, expect, test } from "bun:test";
import { LinuxContainerResources, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { Container, ContainerAdjustment, ContainerUpdate, type PodSandbox } from "@hull/api/gen/nri/v1alpha1/nri";
import { silent } from "@hull/engine/log";
import type { Nri, NriHost } from "@hull/engine/nri/index";
import { defaultSpec } from "@hull/oci/spec";
import type { Pod, PodContainer } from "../model.ts";
import { PodStore } from "../stores/index.ts";
import { NriBridge } from "./index.ts";

const pod: Pod = {
  id: "pod",
  name: "p",
  config: PodSandboxConfig.fromPartial({ metadata: { name: "p" }, linux: { cgroupParent: "/kube" } }),
  runtimeHandler: "",
  createdAt: 1n,
  state: "ready",
  namespaces: { net: "/run/netns/x" },
  network: { ip: "10.0.0.2", additionalIps: ["fd00::2"] },
  processLabel: "",
};
const container = { id: "c", podId: "pod" } as PodContainer;
const limited = (containerId: string, limit: bigint, ignoreFailure = false): ContainerUpdate =>
  ContainerUpdate.fromPartial({
    containerId,
    ignoreFailure,
    linux: { resources: { memory: { limit: { value: limit } } } },
  });

/** A bridge with plugins that write down what they are told, and fail when told to. */
async function bridge({ plugins = ["one"] } = {}) {
  const told: string[] = [];
  const updated: [string, bigint][] = [];
  const failing = new Set<string>();
  let host: NriHost | undefined;
  const call =
    (name: string) =>
    async (_: PodSandbox, about?: Container): Promise<unknown> => {
      told.push(about?.id === undefined ? name : `${name} ${about.id}`);
      if (failing.has(name)) throw new Error(`no ${name}`);
      const adjust = ContainerAdjustment.fromPartial({ env: [{ key: "A", value: "1" }] });
      if (name === "createContainer") return { adjust, updates: [limited("other", 5n)] };
      return name === "stopContainer" ? [] : undefined;
    };
  const working = new Proxy({} as Nri, {
    // Asked for when a promise resolves to it.
    get: (_, name: string) => (name === "then" ? undefined : name === "plugins" ? () => plugins : call(name)),
  });
  const pods = new PodStore();
  pods.add(pod);
  const nriBridge = new NriBridge({ pods, host: {} as never, version: "1", log: silent });
  await nriBridge.start(
    {
      start: async (given) => {
        host = given;
        return working;
      },
    },
    {
      messages: async () => [Container.fromPartial({ id: "c" })],
      message: async ({ id }) => Container.fromPartial({ id }),
      update: async (id, { memoryLimitInBytes }) => {
        if (id === "bad") throw new Error("no");
        updated.push([id, memoryLimitInBytes]);
      },
    },
  );
  if (host === undefined) throw new Error("not started");
  return { nri: nriBridge, told, updated, failing, host };
}

describe("NRI's plugins", () => {
  const spec = defaultSpec({ namespace: "k8s.io", id: "c" });
  const created = { ...container, labels: {}, imageName: "", imageDigest: "" };

  test("change a container's spec, and others' limits with it", async () => {
    const { nri, updated } = await bridge();
    const changed = await nri.createContainer(pod, { ...created, config: { CDIDevices: [] } as never }, spec);
    expect(changed.process.env).toContain("A=1");
    expect(updated).toEqual([["other", 5n]]);
  });

  test("are told of an end once, whoever sees it first", async () => {
    const { nri, told } = await bridge();
    await nri.startContainer(pod, container, 7);
    await Promise.all([nri.stopContainer(pod, container), nri.stopContainer(pod, container)]);
    await nri.removeContainer(pod, container);
    await nri.removeContainer(pod, container);
    expect(told).toEqual(["startContainer c", "stopContainer c", "removeContainer c"]);
  });

  test("are told that a pod is gone which one of them refused", async () => {
    const { nri, told, failing } = await bridge();
    failing.add("runPodSandbox");
    await expect(nri.runPodSandbox(pod)).rejects.toThrow("no runPodSandbox");
    expect(told).toEqual(["runPodSandbox", "stopPodSandbox", "removePodSandbox"]);
    await nri.stopPodSandbox(pod);
    expect(told.length).toBe(3);
  });

  test("that aren't there cost nothing, and nobody waits for their synchronization", async () => {
    const { nri, told } = await bridge({ plugins: [] });
    await nri.runPodSandbox(pod);
    expect(await nri.createContainer(pod, created, spec)).toBe(spec);
    expect(told).toEqual([]);
  });

  test("learn of what there is while nothing comes or goes", async () => {
    const { nri, host } = await bridge();
    const order: string[] = [];
    const starting = Promise.withResolvers<void>();
    const first = nri.shared(async () => {
      await starting.promise;
      order.push("started");
    });
    const synchronized = host.synchronize(async (pods, containers) => {
      order.push(`synchronized ${pods.map(({ id, ips }) => `${id} ${ips}`)} ${containers.map(({ id }) => id)}`);
    });
    const second = nri.shared(async () => void order.push("the next"));
    starting.resolve();
    await Promise.all([first, synchronized, second]);
    expect(order).toEqual(["started", "synchronized pod 10.0.0.2,fd00::2 c", "the next"]);
  });

  test("hear which of the updates that they asked for failed", async () => {
    const { host, updated } = await bridge();
    const failed = await host.update([limited("bad", 1n), limited("bad", 2n, true), limited("c", 3n)]);
    expect(failed.map(({ containerId }) => containerId)).toEqual(["bad"]);
    expect(updated).toEqual([["c", 3n]]);
  });

  test("without NRI, limits are those of the request", async () => {
    const nri = new NriBridge({ pods: new PodStore(), host: {} as never, version: "1", log: silent });
    const asked = LinuxContainerResources.fromPartial({ cpuShares: 5n });
    expect(await nri.updateContainer(pod, container, asked)).toBe(asked);
  });
});
