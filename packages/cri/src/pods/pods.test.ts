import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LinuxContainerResources, NamespaceMode, PodSandboxFilter, PodSandboxState } from "@hull/api/gen/cri/v1/cri";
import { contextFor } from "@hull/engine/context";
import { mount, mountFlags, unmountAll } from "@hull/sys/mount";
import { inNamespaces, unpinNamespace } from "@hull/sys/namespace";
import { nothing, PodsFixture, podConfig } from "./fixture.ts";

const ctx = contextFor("k8s.io");
const isRoot = process.getuid?.() === 0;
const pod = describe.skipIf(!isRoot);

pod("a pod without a process (needs root)", () => {
  test("is made, shown, stopped and removed, and leaves nothing", async () => {
    await using fixture = new PodsFixture();
    const { pods, told } = fixture;
    const id = await fixture.run(
      podConfig("web", { portMappings: [{ hostPort: 80, containerPort: 8080 }, { containerPort: 1 }] }),
    );
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const { status } = await pods.status(id.slice(0, 12), false);
    expect(status).toMatchObject({
      id,
      state: PodSandboxState.SANDBOX_READY,
      metadata: { name: "web", uid: "uid-web" },
      network: { ip: "10.9.0.2", additionalIps: [{ ip: "fd00::2" }] },
      labels: { app: "web" },
    });
    const [added = ""] = fixture.calls();
    expect(added).toContain(
      `ADD ${id} eth0 ${fixture.store.get(id).namespaces.net} IgnoreUnknown=1;K8S_POD_NAMESPACE=space;K8S_POD_NAME=web;` +
        `K8S_POD_INFRA_CONTAINER_ID=${id};K8S_POD_UID=uid-web`,
    );
    expect(added).toContain('"portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"tcp","hostIP":""}]');
    await pods.stop(id);
    expect((await pods.status(id, false)).status).toMatchObject({
      state: PodSandboxState.SANDBOX_NOTREADY,
      network: { ip: "", additionalIps: [] },
    });
    await pods.stop(id);
    await pods.remove(id);
    await pods.remove(id);
    await pods.stop(id);
    expect(fixture.calls().map((call) => call.split(" ")[0])).toEqual(["ADD", "DEL"]);
    expect(told).toEqual([
      "nri run web",
      "created web",
      "started web",
      "nri stop web",
      "stopped web",
      "deleted web",
      "nri remove web",
    ]);
    expect(await fixture.left()).toEqual(nothing);
    await expect(pods.status(id, false)).rejects.toMatchObject({ code: "notFound" });
  });

  test("has namespaces with its name, loopback and kernel parameters, and files", async () => {
    await using fixture = new PodsFixture();
    const dnsConfig = { servers: ["10.0.0.1", "10.0.0.2"], searches: ["a.b"], options: ["ndots:5"] };
    const sysctls = { "kernel.shm_rmid_forced": "1", "net.ipv4.ip_forward": "1" };
    const config = podConfig("web", { dnsConfig });
    const id = await fixture.run({ ...config, linux: { ...linuxOf(config), sysctls } });
    const made = fixture.store.get(id);
    const { net = "", ipc = "", uts = "" } = made.namespaces;
    const read = (name: string) => readFileSync(`/proc/sys/${name}`, "utf8").trim();
    const seen = inNamespaces({ net, ipc, uts }, () => [
      read("kernel/hostname"),
      read("kernel/shm_rmid_forced"),
      read("net/ipv4/ip_forward"),
      read("net/ipv4/ip_unprivileged_port_start"),
      read("net/ipv4/ping_group_range"),
    ]);
    expect(seen).toEqual(["web", "1", "1", "0", "0\t2147483647"]);
    const { stdout } = spawnSync("nsenter", [`--net=${net}`, "ip", "-o", "addr", "show", "lo"], { encoding: "utf8" });
    expect(stdout).toContain("127.0.0.1/8");
    const files = fixture.pods.filesOf(made);
    expect(readFileSync(files.resolvConf, "utf8")).toBe(
      "search a.b\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:5\n",
    );
    expect(readFileSync(files.hostname, "utf8")).toBe("web\n");
    expect(readFileSync(files.hosts, "utf8")).toBe(readFileSync("/etc/hosts", "utf8"));
    const shm = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .find((line) => line.includes(files.shm));
    expect(shm).toMatch(/nosuid,nodev,noexec.* - tmpfs shm .*size=65536k/);
  });

  test("in a user namespace owns its others, with parameters of IPC too", async () => {
    await using fixture = new PodsFixture();
    const usernsOptions = {
      mode: NamespaceMode.POD,
      uids: [{ hostId: 300000, containerId: 0, length: 65536 }],
      gids: [{ hostId: 300000, containerId: 0, length: 65536 }],
    };
    const config = podConfig("mapped", {}, { usernsOptions });
    const id = await fixture.run({
      ...config,
      linux: { ...linuxOf(config), sysctls: { "kernel.shm_rmid_forced": "1" } },
    });
    const { user, net, ipc, uts } = fixture.store.get(id).namespaces;
    const enter = [`--user=${user}`, `--net=${net}`, `--ipc=${ipc}`, `--uts=${uts}`, "--setuid=0", "--setgid=0"];
    const shown = spawnSync(
      "nsenter",
      [...enter, "cat", "/proc/self/uid_map", "/proc/sys/kernel/shm_rmid_forced", "/proc/sys/kernel/hostname"],
      {
        encoding: "utf8",
      },
    );
    expect(shown.stdout.trim().split(/\s+/)).toEqual(["0", "300000", "65536", "1", "mapped"]);
    await fixture.pods.remove(id);
    expect(await fixture.left()).toEqual(nothing);
  });

  test("in the host's namespaces has none of its own, and no network", async () => {
    await using fixture = new PodsFixture();
    const host = { network: NamespaceMode.NODE, ipc: NamespaceMode.NODE };
    const id = await fixture.run(podConfig("host", { hostname: "" }, host));
    const made = fixture.store.get(id);
    expect(made.namespaces).toEqual({});
    expect(fixture.pods.filesOf(made).shm).toBe("/dev/shm");
    expect(fixture.calls()).toEqual([]);
    await fixture.pods.remove(id);
    expect(await fixture.left()).toEqual(nothing);
  });

  test("stops and removes the containers that are in it", async () => {
    await using fixture = new PodsFixture();
    const id = await fixture.run(podConfig("web"));
    fixture.containers.set(id, [{ id: "c1", podId: id } as never]);
    await fixture.pods.remove(id);
    expect(fixture.told).toContain("stop container c1");
    expect(fixture.told).toContain("remove container c1");
    expect(fixture.told.indexOf("stop container c1")).toBeLessThan(fixture.told.indexOf("nri stop web"));
  });

  test("waits for a network that hangs while its caller does, and is stopped by the next one", async () => {
    await using fixture = new PodsFixture();
    const id = await fixture.run(podConfig("web"));
    fixture.flag("hang-DEL", true);
    const caller = new AbortController();
    const stopping = fixture.pods.stop(id, caller.signal);
    await until(() => fixture.calls().length > 1);
    const removing = fixture.pods.remove(id);
    fixture.flag("hang-DEL", false);
    caller.abort();
    await expect(stopping).rejects.toThrow("failed to destroy network for sandbox");
    await removing;
    expect(await fixture.left()).toEqual(nothing);
  });

  test("shows containerd's keys in the verbose information, and keeps updated resources", async () => {
    await using fixture = new PodsFixture();
    const id = await fixture.run(podConfig("web"));
    const resources = LinuxContainerResources.fromPartial({ cpuShares: 512n, memoryLimitInBytes: 1n << 30n });
    await fixture.pods.update(id, undefined, resources);
    await fixture.restart();
    const { info } = await fixture.pods.status(id, true);
    const shown = JSON.parse(info.info ?? "{}") as Record<string, unknown>;
    const net = fixture.store.get(id).namespaces.net;
    expect(shown).toMatchObject({
      pid: 0,
      processStatus: "running",
      netNamespaceClosed: false,
      runtimeType: "io.containerd.runc.v2",
      config: {
        metadata: { name: "web", namespace: "space" },
        linux: { security_context: { namespace_options: { pid: 1 } } },
      },
      cniResult: {
        Interfaces: {
          eth0: {
            IPConfigs: [
              { IP: "fd00::2", Gateway: "" },
              { IP: "10.9.0.2", Gateway: "10.9.0.1" },
            ],
            Mac: "aa:bb",
            Sandbox: net,
          },
          lo: {
            IPConfigs: [
              { IP: "127.0.0.1", Gateway: "" },
              { IP: "::1", Gateway: "" },
            ],
          },
        },
        Routes: [{ dst: "0.0.0.0/0" }],
      },
      sandboxMetadata: {
        Version: "v1",
        Metadata: { ID: id, NetNSPath: net, IP: "10.9.0.2", AdditionalIPs: ["fd00::2"] },
      },
      resources: { linux: { cpu_shares: 512, memory_limit_in_bytes: 1073741824 } },
    });
    expect(fixture.told.slice(3)).toEqual(["nri update web", "nri updated web"]);
  });
});

pod("a pod that can't be made (needs root)", () => {
  const failures: readonly [string, (fixture: PodsFixture) => void, string | RegExp][] = [
    [
      "by its network",
      (fixture) => fixture.flag("fail-ADD", true),
      /^failed to setup network for sandbox "[0-9a-f]{64}": plugin type="told" failed \(add\): not now$/,
    ],
    ["by a plugin of NRI", (fixture) => fixture.failNri(true), "NRI RunPodSandbox failed: no, says the plugin"],
    ["by files that can't be written", (fixture) => readOnly(fixture, "root"), "failed to setup sandbox files"],
    ["by its namespaces", (fixture) => readOnly(fixture, "state"), "failed to create network namespace for sandbox"],
  ];
  for (const [how, fail, text] of failures)
    test(`${how}: all is taken back, and its name is free again`, async () => {
      await using fixture = new PodsFixture();
      fail(fixture);
      await expect(fixture.run(podConfig("web"))).rejects.toThrow(text);
      expect(fixture.pods.list()).toEqual([]);
      for (const name of ["root", "state"]) unmountAll(join(fixture.folder, name));
      fixture.flag("fail-ADD", false);
      fixture.failNri(false);
      expect(await fixture.left()).toEqual(nothing);
      await fixture.pods.remove(await fixture.run(podConfig("web")));
      expect(await fixture.left()).toEqual(nothing);
    });

  test("with a name that is taken, without metadata, with parameters that no namespace has", async () => {
    await using fixture = new PodsFixture();
    const id = await fixture.run(podConfig("web"));
    await expect(fixture.run(podConfig("web"))).rejects.toThrow(
      `failed to reserve sandbox name "web_space_uid-web_0": name "web_space_uid-web_0" is reserved for "${id}"`,
    );
    const without = { ...podConfig("x"), metadata: undefined };
    await expect(fixture.run(without)).rejects.toThrow("sandbox config must include metadata");
    const config = podConfig("bad");
    const linux = { ...linuxOf(config), sysctls: { "kernel.panic": "1" } };
    await expect(fixture.run({ ...config, linux })).rejects.toThrow(
      'sysctl "kernel.panic" is not in a separate kernel namespace',
    );
    await expect(fixture.run(podConfig("host", {}, { network: NamespaceMode.NODE }))).rejects.toThrow(
      "unable to set hostname without a private UTS namespace",
    );
    await expect(
      fixture.pods.run({ config: podConfig("h"), runtimeHandler: "kata" }, AbortSignal.any([])),
    ).rejects.toThrow(/^unable to get OCI runtime for sandbox "[0-9a-f]{64}": no runtime for "kata" is configured$/);
    await fixture.pods.remove(id);
    expect(await fixture.left()).toEqual(nothing);
  });

  test("nor taken down: it stays to be removed", async () => {
    await using fixture = new PodsFixture();
    fixture.failNri(true);
    fixture.flag("fail-DEL", true);
    await expect(fixture.run(podConfig("web"))).rejects.toThrow("NRI RunPodSandbox failed");
    const [left] = fixture.pods.list();
    expect(left?.state).toBe(PodSandboxState.SANDBOX_NOTREADY);
    await expect(fixture.pods.remove(left?.id ?? "")).rejects.toThrow(
      /failed to forcibly stop sandbox ".*": failed to destroy network for sandbox ".*": plugin type="told" failed \(delete\): not now/,
    );
    fixture.flag("fail-DEL", false);
    await fixture.pods.remove(left?.id ?? "");
    expect(await fixture.left()).toEqual(nothing);
  });

  test("before its network answers, if the caller gives up", async () => {
    await using fixture = new PodsFixture();
    fixture.flag("hang-ADD", true);
    const caller = new AbortController();
    const running = fixture.run(podConfig("web"), caller.signal);
    await until(() => fixture.calls().length > 0);
    caller.abort();
    await expect(running).rejects.toThrow();
    expect(await fixture.left()).toEqual(nothing);
  });
});

pod("after a crash (needs root)", () => {
  test("ready pods are found again, stopped ones stay stopped", async () => {
    await using fixture = new PodsFixture();
    const ready = await fixture.run(podConfig("ready"));
    const stopped = await fixture.run(podConfig("stopped"));
    await fixture.pods.stop(stopped);
    const before = fixture.pods.list();
    const value = fixture.store.get(ready);
    await fixture.restart();
    expect(fixture.pods.list()).toEqual(before);
    expect(fixture.store.get(ready)).toEqual(value);
    await expect(fixture.run(podConfig("ready"))).rejects.toThrow("is reserved for");
    for (const id of [ready, stopped]) await fixture.pods.remove(id);
    expect(await fixture.left()).toEqual(nothing);
  });

  test("one whose network was being made is taken down, address and all", async () => {
    await using fixture = new PodsFixture();
    fixture.flag("hang-ADD", true);
    const caller = new AbortController();
    const running = fixture.run(podConfig("half"), caller.signal);
    running.catch(() => undefined);
    await until(() => fixture.calls().length > 0);
    // What the daemon would do is kept from happening: it is dead.
    fixture.flag("hang-ADD", false);
    await fixture.restart();
    expect(fixture.pods.list()).toEqual([]);
    expect(await fixture.left()).toEqual(nothing);
    caller.abort();
    await running.catch(() => undefined);
  });

  test("one whose namespace is gone isn't ready, and can be removed; so can one whose network is gone", async () => {
    await using fixture = new PodsFixture();
    const id = await fixture.run(podConfig("web"));
    unpinNamespace(fixture.store.get(id).namespaces.net ?? "");
    rmSync(join(fixture.folder, "conf", "10-net.conflist"));
    await fixture.restart();
    expect(fixture.pods.list()[0]?.state).toBe(PodSandboxState.SANDBOX_NOTREADY);
    await fixture.pods.remove(id);
    expect(fixture.calls().at(-1)).toStartWith(`DEL ${id} eth0  IgnoreUnknown=1`);
    expect(await fixture.left()).toEqual(nothing);
  });

  test("one whose plugin is gone is removed, and its address when the plugin is back", async () => {
    await using fixture = new PodsFixture();
    const id = await fixture.run(podConfig("web"));
    const program = join(fixture.folder, "bin", "told");
    const text = readFileSync(program);
    rmSync(program);
    await fixture.pods.remove(id);
    expect(await fixture.left()).toMatchObject({ ...nothing, addresses: [id], cache: [`net-${id}-eth0`] });
    writeFileSync(program, text, { mode: 0o755 });
    await fixture.restart();
    expect(await fixture.left()).toEqual(nothing);
  });

  test("directories of nobody are removed", async () => {
    await using fixture = new PodsFixture();
    const id = await fixture.run(podConfig("web"));
    await fixture.metadata.stores.sandboxes.delete(ctx, id);
    await fixture.metadata.stores.leases.delete(ctx, id);
    const { net = "" } = fixture.store.get(id).namespaces;
    await fixture.restart();
    unpinNamespace(net);
    expect(await fixture.left()).toEqual(nothing);
  });
});

pod("pods of a containerd that was here before (needs root)", () => {
  /** As containerd 1 has it: a container with the pod's metadata. */
  const containerOf = (id: string, name: string) => {
    const Config = {
      metadata: { name, uid: "u", namespace: "n" },
      linux: { security_context: { namespace_options: { pid: 1 } } },
    };
    const metadata = {
      ID: id,
      Name: `${name}_n_u_0`,
      Config,
      NetNSPath: "/proc/self/ns/net",
      IP: "10.1.0.2",
      RuntimeHandler: "",
      CNIResult: null,
    };
    const value = new TextEncoder().encode(JSON.stringify({ Version: "v1", Metadata: metadata }));
    return {
      id,
      labels: { "io.cri-containerd.kind": "sandbox" },
      image: "registry.k8s.io/pause:3.6",
      runtime: { name: "io.containerd.runc.v2" },
      spec: {
        typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Spec",
        value: new TextEncoder().encode("{}"),
      },
      snapshotter: "",
      snapshotKey: "",
      sandbox: "",
      extensions: {
        "io.cri-containerd.sandbox.metadata": {
          typeUrl: "github.com/containerd/cri/pkg/store/sandbox/Metadata",
          value,
        },
      },
    };
  };

  test("go on with their pause processes, end with them, and are removed as others", async () => {
    await using fixture = new PodsFixture();
    const { containers } = fixture.metadata.stores;
    const [running, ended] = ["a".repeat(64), "b".repeat(64)];
    for (const [id, name] of [
      [running, "one"],
      [ended, "two"],
    ] as const)
      await containers.create(ctx, containerOf(id, name));
    fixture.startTask(running, process.pid);
    for (let times = 0; times < 2; times++) {
      await fixture.restart();
      expect(
        fixture.pods
          .list()
          .map(({ id, state }) => [id, state])
          .sort(),
      ).toEqual([
        [running, PodSandboxState.SANDBOX_READY],
        [ended, PodSandboxState.SANDBOX_NOTREADY],
      ]);
      expect(fixture.store.get(running)).toMatchObject({
        pause: { pid: process.pid, image: "registry.k8s.io/pause:3.6" },
        namespaces: {
          net: "/proc/self/ns/net",
          ipc: `/proc/${process.pid}/ns/ipc`,
          uts: `/proc/${process.pid}/ns/uts`,
        },
      });
    }
    fixture.running.get(running)?.ended.resolve();
    await until(() => fixture.pods.list().every(({ state }) => state === PodSandboxState.SANDBOX_NOTREADY));
    for (const id of [running, ended]) await fixture.pods.remove(id);
    expect(await fixture.left()).toEqual(nothing);
    expect(await containers.list(ctx)).toEqual([]);
  });
});

pod("lists (needs root)", () => {
  test("are filtered by id, state and labels", async () => {
    await using fixture = new PodsFixture();
    const [a, b] = [await fixture.run(podConfig("a")), await fixture.run(podConfig("b"))];
    await fixture.pods.stop(b);
    const ids = (filter: object) => fixture.pods.list(PodSandboxFilter.fromPartial(filter)).map(({ id }) => id);
    expect(ids({})).toEqual([a, b]);
    expect(ids({ id: a.slice(0, 20) })).toEqual([a]);
    expect(ids({ id: "none" })).toEqual([]);
    expect(ids({ state: { state: PodSandboxState.SANDBOX_NOTREADY } })).toEqual([b]);
    expect(ids({ labelSelector: { app: "a" } })).toEqual([a]);
    expect(ids({ labelSelector: { app: "a", other: "" } })).toEqual([]);
  });
});

/** Nothing can be made in a directory of the fixture until it is unmounted. */
function readOnly(fixture: PodsFixture, name: string): void {
  const target = join(fixture.folder, name);
  mkdirSync(target, { recursive: true });
  mount({ source: "none", target, type: "tmpfs", flags: mountFlags.readOnly });
}

const linuxOf = (config: ReturnType<typeof podConfig>) => {
  if (config.linux === undefined) throw new Error("a pod of these tests has a linux part");
  return config.linux;
};

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(5);
}
