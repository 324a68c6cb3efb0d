/** Pods: what RunPodSandbox, its siblings and lists answer, beside the real containerd. */
import { NamespaceMode, PodSandboxState, Protocol } from "@hull/api/gen/cri/v1/cri";
import { scriptContainer } from "../support/cri.ts";
import { comparedCri } from "./pair.ts";

const unknownId = "0123456789abcdef".repeat(4);

/** A name that is taken has had no class of error. */
const reserved = (older: unknown): unknown => `${older}`.replace("unknown:", "failedPrecondition:");

comparedCri("pods", (test) => {
  test("one from its start to its removal", async ({ same }) => {
    const config = {
      hostname: "web",
      labels: { app: "web", tier: "front" },
      annotations: { "example.com/note": "kept" },
      dnsConfig: { servers: ["192.0.2.53"], searches: ["example.com"], options: ["ndots:2"] },
    };
    await same("run", (s) => s.runPod("web", config));
    await same("status", ({ runtime, id }) => runtime.podSandboxStatus({ podSandboxId: id("web") }));
    await same("list", ({ runtime }) => runtime.listPodSandbox({}));
    await same("its name again", (s) => s.runPod("web", config), { newer: reserved });
    await same("stop", ({ runtime, id }) => runtime.stopPodSandbox({ podSandboxId: id("web") }));
    await same("status, stopped", ({ runtime, id }) => runtime.podSandboxStatus({ podSandboxId: id("web") }));
    await same("stop again", ({ runtime, id }) => runtime.stopPodSandbox({ podSandboxId: id("web") }));
    await same("its name again, stopped", (s) => s.runPod("web", config), { newer: reserved });
    await same("remove", ({ runtime, id }) => runtime.removePodSandbox({ podSandboxId: id("web") }));
    await same("status, removed", ({ runtime, id }) => runtime.podSandboxStatus({ podSandboxId: id("web") }));
    await same("list, removed", ({ runtime }) => runtime.listPodSandbox({}));
    await same("its name again, removed", (s) => s.runPod("web", config));
  });

  test("one that is removed while it runs", async ({ same }) => {
    await same("run", (s) => s.runPod("web"));
    await same("create", (s) => s.create("web", scriptContainer("busy", "sleep 1000")));
    await same("start", (s) => s.start("busy"));
    await same("remove", ({ runtime, id }) => runtime.removePodSandbox({ podSandboxId: id("web") }));
    await same("list", ({ runtime }) => runtime.listPodSandbox({}));
    await same("list containers", ({ runtime }) => runtime.listContainers({}));
  });

  test("what is unknown", async ({ same }) => {
    // Words of a library that a newer containerd has changed.
    const newer = (older: unknown): unknown => `${older}`.replace("Prefix", "prefix");
    await same("stop the empty id", ({ runtime }) => runtime.stopPodSandbox({ podSandboxId: "" }), { newer });
    await same("remove the empty id", ({ runtime }) => runtime.removePodSandbox({ podSandboxId: "" }), { newer });
    await same("status of the empty id", ({ runtime }) => runtime.podSandboxStatus({ podSandboxId: "" }), { newer });
    for (const podSandboxId of [unknownId, "none"]) {
      // Version 1 said that it found none; the interface asks that both may be repeated.
      await same(`stop ${podSandboxId}`, ({ runtime }) => runtime.stopPodSandbox({ podSandboxId }), { newer: {} });
      await same(`remove ${podSandboxId}`, ({ runtime }) => runtime.removePodSandbox({ podSandboxId }));
      await same(`status ${podSandboxId}`, ({ runtime }) => runtime.podSandboxStatus({ podSandboxId }));
    }
  });

  test("what can't be run", async ({ same }) => {
    await same("no configuration", ({ runtime }) => runtime.runPodSandbox({}));
    await same("no metadata", ({ runtime }) => runtime.runPodSandbox({ config: { hostname: "web" } }));
    await same("an unknown runtime handler", (s) => s.runPod("web", {}, "none"), {
      newer: 'unknown: unable to get OCI runtime for sandbox "ID": no runtime for "none" is configured',
    });
    await same("a pid namespace of another", (s) => {
      const securityContext = { namespaceOptions: { pid: NamespaceMode.TARGET, targetId: unknownId } };
      return s.runPod("target", { linux: { securityContext } });
    });
    await same("a sysctl that isn't there", (s) => s.runPod("sysctl", { linux: { sysctls: { "kernel.none": "1" } } }), {
      // The OCI runtime's words in the one; in hull, which looks at it first, those of a newer runc.
      mask: /: failed to (create|generate) .*$/s,
      newer: 'unknown: failed to start sandbox "ID"…',
    });
    await same("list", ({ runtime }) => runtime.listPodSandbox({}));
  });

  test("lists by their filters", async ({ same, each }) => {
    await each(async (s) => {
      await s.runPod("one", { labels: { app: "a", tier: "x" } });
      await s.runPod("two", { labels: { app: "a", tier: "y" } });
      await s.runPod("three", { labels: { app: "b" } });
      await s.runtime.stopPodSandbox({ podSandboxId: s.id("two") });
    });
    const { SANDBOX_READY, SANDBOX_NOTREADY } = PodSandboxState;
    const filters = {
      "ready ones": () => ({ state: { state: SANDBOX_READY } }),
      "stopped ones": () => ({ state: { state: SANDBOX_NOTREADY } }),
      "by a label": () => ({ labelSelector: { app: "a" } }),
      "by two": () => ({ labelSelector: { app: "a", tier: "x" } }),
      "by another value": () => ({ labelSelector: { app: "c" } }),
      "by an id": (id: (name: string) => string) => ({ id: id("one") }),
      "by the beginning of an id": (id: (name: string) => string) => ({ id: id("one").slice(0, 12) }),
      "by an id and a label": (id: (name: string) => string) => ({ id: id("one"), labelSelector: { app: "b" } }),
      "by an unknown id": () => ({ id: unknownId }),
    };
    for (const [what, filter] of Object.entries(filters)) {
      await same(what, async ({ runtime, id }) => {
        const { items } = await runtime.listPodSandbox({ filter: filter(id) });
        return items.map(({ metadata, state }) => `${metadata?.name} ${state}`).sort();
      });
    }
    await same("status by the beginning of an id", async ({ runtime, id }) => {
      const { status } = await runtime.podSandboxStatus({ podSandboxId: id("one").slice(0, 12) });
      return status?.id;
    });
  });

  test("namespaces of the host", async ({ same }) => {
    const { NODE, POD } = NamespaceMode;
    const namespaceOptions = { network: NODE, pid: NODE, ipc: NODE };
    await same("run", (s) => s.runPod("host", { linux: { securityContext: { namespaceOptions } } }));
    await same("status", ({ runtime, id }) => runtime.podSandboxStatus({ podSandboxId: id("host") }));
    const show = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; hostname; ip addr show lo | head -1";
    const config = scriptContainer("look", show, { linux: { securityContext: { namespaceOptions } } });
    await same("create", (s) => s.create("host", config));
    await same("start", (s) => s.start("look"));
    await same("which are the machine's", async (s) => {
      const seen = (await s.log("host", "look")).map((line) => line.split(" ").slice(3).join(" "));
      const { stdout } = await s.daemon.machine.run(["sh", "-c", show]);
      return seen.map((line, index) => line === stdout.split("\n")[index]);
    });
    await same("a pod that shares its own", (s) =>
      s.runPod("own", { linux: { securityContext: { namespaceOptions: { network: POD, pid: POD, ipc: POD } } } }),
    );
  });

  test("what its containers share", async ({ same }) => {
    const namespaceOptions = { pid: NamespaceMode.POD };
    const security = { linux: { securityContext: { namespaceOptions } } };
    await same("run", (s) => s.runPod("shared", { hostname: "shared", ...security }));
    const one = scriptContainer("one", "echo from-one > /dev/shm/note; exec sleep 1000", security);
    const two =
      "for n in $(seq 100); do [ -f /dev/shm/note ] && break; sleep 0.05; done; cat /dev/shm/note; hostname; ps -o comm";
    await same("create", (s) => s.create("shared", one));
    await same("start", (s) => s.start("one"));
    await same("create a second", (s) => s.create("shared", scriptContainer("two", two, security)));
    await same("start it", (s) => s.start("two"));
    await same("what it sees", (s) => s.log("shared", "two"));
  });

  test("files that the pod gives", async ({ same }) => {
    const dnsConfig = {
      servers: ["192.0.2.53", "192.0.2.54"],
      searches: ["a.example", "b.example"],
      options: ["ndots:5"],
    };
    await same("run", (s) => s.runPod("files", { hostname: "files", dnsConfig }));
    const script =
      "cat /etc/resolv.conf /etc/hostname; grep -c localhost /etc/hosts; df -k /dev/shm | tail -1 | awk '{print $2}'";
    await same("create", (s) => s.create("files", scriptContainer("look", script)));
    await same("start", (s) => s.start("look"));
    await same("what is in them", (s) => s.log("files", "look"));
  });

  test("sysctls, and addresses that are taken and given back", async ({ same }) => {
    const sysctls = { "net.ipv4.ip_local_port_range": "2000 3000", "kernel.shm_rmid_forced": "1" };
    await same("run", (s) => s.runPod("one", { linux: { sysctls } }));
    const script =
      "cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shm_rmid_forced; ip -o -4 addr show eth0 | awk '{print $4}'; ip route";
    await same("create", (s) => s.create("one", scriptContainer("look", script)));
    await same("start", (s) => s.start("look"));
    await same("what is set", async (s) =>
      (await s.log("one", "look")).map((line) => line.replace(/10\.77\.\d+\.\d+/g, "ADDRESS").replace(/\t/g, " ")),
    );
    await same("addresses in use", async (s) => s.addresses().length);
    await same("stop", ({ runtime, id }) => runtime.stopPodSandbox({ podSandboxId: id("one") }));
    await same("addresses afterwards", async (s) => s.addresses().length);
    await same("namespaces afterwards", async (s) => (await s.daemon.machine.run(["ls", "/run/netns"])).stdout);
  });

  test("a port of the host without a plugin for it", async ({ same }) => {
    const portMappings = [{ protocol: Protocol.TCP, containerPort: 80, hostPort: 12080, hostIp: "" }];
    await same("run", (s) => s.runPod("port", { portMappings }));
  });
});
