/** Networks of pods by the real plugins: both families, ports of the host, user namespaces, shims of others, parts that are gone. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { Status } from "@hull/api/gen/containerd/types/task/task";
import { NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { CriDaemon, noPods, type PodConfig, scriptContainer, writePodImages } from "../support/cri.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);

const foreign = `
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.foreign]
  runtime_type = "io.containerd.runc.v2"
  runtime_path = "/usr/bin/containerd-shim-runc-v2"
`;

const own: PodConfig = { linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER } } } };

describe.skipIf(noPods !== undefined)(`networks of pods${noPods === undefined ? "" : ` (skipped: ${noPods})`}`, () => {
  let folder: Scratch;
  let daemon: CriDaemon;

  beforeAll(async () => {
    folder = scratch();
    // Root of a user namespace has to come through to its containers' files.
    chmodSync(folder.path, 0o711);
    const archive = folder.join("images.tar");
    writePodImages(archive);
    daemon = await CriDaemon.start("hull", folder.join("h"), archive, foreign);
    const ranges = [[{ subnet: "10.78.0.0/24" }], [{ subnet: "fd78::/64" }]];
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];
    const ipam = { type: "host-local", dataDir: daemon.addresses, ranges, routes };
    const bridge = { type: "bridge", bridge: "cni1", isGateway: true, ipMasq: false, ipam };
    const portmap = { type: "portmap", capabilities: { portMappings: true }, snat: false };
    const list = { cniVersion: "1.0.0", name: "pods", plugins: [bridge, portmap, { type: "loopback" }] };
    writeFileSync(join(daemon.folder, "net.d", "05-pods.conflist"), JSON.stringify(list));
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  afterEach(() => daemon.removePods());

  const addresses = (): string[] =>
    readdirSync(join(daemon.addresses, "pods")).filter((name) => /^[0-9a-f]+[.:]/.test(name));
  const netnsLeft = async (): Promise<string> => (await daemon.machine.run(["ls", "/run/netns"])).stdout;
  const rules = async (): Promise<string> => (await daemon.machine.run(["iptables-save", "-t", "nat"])).stdout;

  async function run(name: string, config: PodConfig = own, runtimeHandler = ""): Promise<string> {
    const whole = daemon.podConfig(name, config);
    return (await daemon.runtime.runPodSandbox({ config: whole, runtimeHandler })).podSandboxId;
  }

  async function output(podSandboxId: string, name: string, script: string, config: PodConfig = own): Promise<string> {
    const { runtime } = daemon;
    const sandboxConfig = daemon.podConfig(name, config);
    const container = scriptContainer("look", script, { linux: { securityContext: config.linux?.securityContext } });
    const { containerId } = await runtime.createContainer({ podSandboxId, config: container, sandboxConfig });
    await runtime.startContainer({ containerId });
    for (;;) {
      const { status } = await runtime.containerStatus({ containerId });
      if (status !== undefined && status.state >= 2) break;
      await Bun.sleep(20);
    }
    const log = readFileSync(join(daemon.folder, "logs", name, "look.log"), "utf8");
    return log.replace(/^\S+ std(out|err) F /gm, "");
  }

  async function remove(podSandboxId: string): Promise<void> {
    await daemon.runtime.stopPodSandbox({ podSandboxId });
    await daemon.runtime.removePodSandbox({ podSandboxId });
    expect(addresses()).toEqual([]);
    expect(await netnsLeft()).toBe("");
  }

  test("addresses of both families, and a port of the host", async () => {
    const id = await run("dual", { ...own, portMappings: [{ hostPort: 8080, containerPort: 80 }] });
    const { status } = await daemon.runtime.podSandboxStatus({ podSandboxId: id });
    expect(status?.network?.ip).toMatch(/^10\.78\.0\./);
    expect(status?.network?.additionalIps[0]?.ip).toMatch(/^fd78::/);
    expect(await rules()).toContain("--dport 8080");
    const shown = await output(id, "dual", "ip -o addr; ip route; cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    expect(shown).toContain(`${status?.network?.ip}/24`);
    expect(shown).toContain("127.0.0.1/8");
    expect(shown).toContain("default via 10.78.0.1");
    await remove(id);
    expect(await rules()).not.toContain("--dport 8080");
  });

  test("a pod in a user namespace", async () => {
    const ids = [{ hostId: 400_000, containerId: 0, length: 65_536 }];
    const usernsOptions = { mode: NamespaceMode.POD, uids: ids, gids: ids };
    const config = {
      linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER, usernsOptions } } },
    };
    const id = await run("mapped", config);
    const script = "cat /proc/self/uid_map; ip -o addr show eth0; ip link set eth0 mtu 1400 && echo mine";
    const shown = await output(id, "mapped", script, config);
    expect(shown).toMatch(/^\s*0\s+400000\s+65536$/m);
    expect(shown).toContain("10.78.0.");
    await remove(id);
  });

  test("who asks for a pod as a container sees one that is in its network, as cAdvisor wants it", async () => {
    const id = await run("seen");
    const { container } = await daemon.client.service(ContainersDefinition).get({ id });
    expect(container).toMatchObject({ image: "example.com/pause:1", labels: { "io.cri-containerd.kind": "sandbox" } });
    const { process: task } = await daemon.client.service(TasksDefinition).get({ containerId: id });
    expect(task?.status).toBe(Status.RUNNING);
    const { stdout } = await daemon.machine.run(["cat", `/proc/${task?.pid}/net/dev`]);
    expect(stdout).toMatch(/^\s*eth0:/m);
    expect(stdout).not.toContain("cni1:");
    await remove(id);
    await expect(daemon.client.service(TasksDefinition).get({ containerId: id })).rejects.toMatchObject({
      code: "notFound",
    });
  });

  test("a shim of others has a pause process, and leaves nothing either", async () => {
    const id = await run("foreign", own, "foreign");
    const { info } = await daemon.runtime.podSandboxStatus({ podSandboxId: id, verbose: true });
    const { pid, image, runtimeSpec } = JSON.parse(info.info ?? "{}");
    expect(pid).toBeGreaterThan(0);
    expect(image).toBe("example.com/pause:1");
    expect(runtimeSpec.annotations["io.kubernetes.cri.container-type"]).toBe("sandbox");
    expect(await output(id, "foreign", "ip -o addr show eth0; hostname")).toContain("10.78.0.");
    await remove(id);
    expect((await daemon.ctr("tasks", "ls", "-q")).stdout).toBe("");
    expect((await daemon.ctr("containers", "ls", "-q")).stdout).toBe("");
  });

  test("a pause process that is killed makes its pod not ready; so does nothing else", async () => {
    const { runtime } = daemon;
    const shared = { linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.POD } } } };
    const id = await run("shared", shared);
    const { info } = await runtime.podSandboxStatus({ podSandboxId: id, verbose: true });
    await daemon.machine.run(["kill", "-9", String(JSON.parse(info.info ?? "{}").pid)]);
    for (;;) {
      const { status } = await runtime.podSandboxStatus({ podSandboxId: id });
      if (status?.state === 1) break;
      await Bun.sleep(10);
    }
    await remove(id);
  });

  test("what is gone already doesn't keep a pod from going: its namespace, its network, the daemon in between", async () => {
    const [one, two] = [await run("one"), await run("two")];
    const { info } = await daemon.runtime.podSandboxStatus({ podSandboxId: one, verbose: true });
    const { NetNSPath } = JSON.parse(info.info ?? "{}").sandboxMetadata.Metadata;
    await daemon.machine.run(["umount", NetNSPath]);
    for (const name of readdirSync(join(daemon.folder, "net.d"))) rmSync(join(daemon.folder, "net.d", name));
    await daemon.stop("SIGKILL");
    await daemon.boot();
    const states = (await daemon.runtime.listPodSandbox({})).items.map(({ id, state }) => [id, state]);
    expect(new Map(states as [string, number][])).toEqual(
      new Map([
        [one, 1],
        [two, 0],
      ]),
    );
    for (const podSandboxId of [one, two]) {
      await daemon.runtime.stopPodSandbox({ podSandboxId });
      await daemon.runtime.removePodSandbox({ podSandboxId });
    }
    expect(addresses()).toEqual([]);
    expect(await netnsLeft()).toBe("");
    await expect(run("three")).rejects.toThrow(
      /failed to setup network for sandbox "[0-9a-f]{64}": cni plugin not initialized/,
    );
  });
});
