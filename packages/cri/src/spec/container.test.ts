import { describe, expect, test } from "bun:test";
import { NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { defaultSpec, type Spec } from "@hull/oci/spec";
import { buildContainerSpec } from "./container.ts";
import { facts, handler, inputOf } from "./fixture.ts";

const types = (spec: Spec): string[] =>
  (spec.linux.namespaces ?? []).map(({ type, path }) => `${type} ${path ?? "own"}`);
const mountOf = ({ mounts }: Spec, path: string) => mounts.find(({ destination }) => destination === path);

describe("namespaces", () => {
  const withPid = (pid: NamespaceMode, namespaces: object, pod: NamespaceMode = pid, targetPid?: number) => {
    const input = inputOf(
      { linux: { securityContext: { namespaceOptions: { pid } } } },
      { linux: { securityContext: { namespaceOptions: { pid: pod } } } },
      { targetPid },
    );
    return buildContainerSpec({ ...input, pod: { ...input.pod, namespaces } });
  };

  test("the pod's, and of its own what pods don't share", () => {
    const spec = buildContainerSpec(inputOf({}));
    expect(types(spec).sort()).toEqual([
      "cgroup own",
      "ipc /ns/ipc",
      "mount own",
      "network /ns/net",
      "pid /ns/pid",
      "uts /ns/uts",
    ]);
  });
  test("the host's where the pod has none", () => {
    expect(types(withPid(NamespaceMode.NODE, {})).sort()).toEqual(["cgroup own", "mount own"]);
  });
  test("another container's", () => {
    expect(types(withPid(NamespaceMode.TARGET, {}, NamespaceMode.CONTAINER, 17))).toContain("pid /proc/17/ns/pid");
    expect(() => withPid(NamespaceMode.TARGET, {})).toThrow("the target container of a pid namespace is not running");
  });
  test("one that the pod can't share is refused", () => {
    expect(() => withPid(NamespaceMode.POD, {}, NamespaceMode.CONTAINER)).toThrow(
      "give pod and container the same mode",
    );
  });
  test("privileged containers see the host's groups", () => {
    const securityContext = { privileged: true };
    const spec = buildContainerSpec(inputOf({ linux: { securityContext } }, { linux: { securityContext } }));
    expect(types(spec)).not.toContain("cgroup own");
    expect(mountOf(spec, "/sys/fs/cgroup")?.options).toEqual([
      "nosuid",
      "noexec",
      "nodev",
      "relatime",
      "rw",
      "nsdelegate",
    ]);
  });
});

describe("users of its own", () => {
  const ids = (hostId: number) => [{ hostId, containerId: 0, length: 65536 }];
  const usernsOptions = { mode: NamespaceMode.POD, uids: ids(100000), gids: ids(200000) };
  const options = (network: NamespaceMode = NamespaceMode.POD) => ({
    linux: { securityContext: { namespaceOptions: { usernsOptions, network } } },
  });
  test("are the pod's, with its mappings", () => {
    const input = inputOf(options(), options());
    const { linux } = buildContainerSpec({
      ...input,
      pod: { ...input.pod, namespaces: { pid: "/p", user: "/ns/user" } },
    });
    expect(linux.namespaces).toContainEqual({ type: "user", path: "/ns/user" });
    expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: 100000, size: 65536 }]);
    expect(linux.gidMappings).toEqual([{ containerID: 0, hostID: 200000, size: 65536 }]);
  });
  test("with the host's network its sysfs is bound", () => {
    const spec = buildContainerSpec(inputOf(options(NamespaceMode.NODE), options(NamespaceMode.NODE)));
    expect(mountOf(spec, "/sys")).toMatchObject({ type: "bind", source: "/sys" });
    expect(spec.mounts.filter(({ destination }) => destination === "/sys")).toHaveLength(1);
  });
});

describe("what the handler says", () => {
  const privileged = { linux: { securityContext: { privileged: true } } };
  const hostDevices = [{ path: "/dev/kvm", type: "c" as const, major: 10, minor: 232 }];
  const built = (settings: Partial<typeof handler.config>) =>
    buildContainerSpec(
      inputOf(privileged, privileged, {
        handler: { ...handler, config: { ...handler.config, ...settings } },
        hostDevices,
      }),
    ).linux;
  const all = [{ allow: true, access: "rwm" }];
  const none = [{ allow: false, access: "rwm" }];

  test("devices of privileged containers", () => {
    expect(built({})).toMatchObject({ devices: hostDevices, resources: { devices: all } });
    const without = { privileged_without_host_devices: true };
    expect(built(without).devices).toBeUndefined();
    expect(built(without).resources?.devices).toEqual(none);
    const allowed = built({ ...without, privileged_without_host_devices_all_devices_allowed: true });
    expect([allowed.devices, allowed.resources?.devices]).toEqual([undefined, all]);
  });
  test("control groups that can be written", () => {
    const spec = buildContainerSpec(
      inputOf({}, {}, { handler: { ...handler, config: { ...handler.config, cgroup_writable: true } } }),
    );
    expect(mountOf(spec, "/sys/fs/cgroup")?.options).toEqual(["nosuid", "noexec", "nodev", "relatime", "rw"]);
  });
  test("a spec of its own to start from keeps its limits", () => {
    const baseSpec = defaultSpec({ namespace: "x", id: "y" });
    baseSpec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
    const spec = buildContainerSpec(inputOf({}, {}, { handler: { ...handler, baseSpec } }));
    expect(spec.process.rlimits).toEqual(baseSpec.process.rlimits);
    expect(spec.linux.seccomp).toEqual({ defaultAction: "SCMP_ACT_ALLOW" });
    expect(spec.linux.cgroupsPath).toBe("/k8s.io/c");
    expect(buildContainerSpec(inputOf({})).process.rlimits).toBeUndefined();
  });
  test("annotations that pass", () => {
    const config = { ...handler.config, pod_annotations: ["io.kata*"], container_annotations: ["*.example.com/[ab]"] };
    const { annotations } = buildContainerSpec(
      inputOf(
        { annotations: { "x.example.com/a": "1", "x.example.com/c": "2" } },
        { annotations: { "io.katacontainers": "3", other: "4" } },
        { handler: { ...handler, config } },
      ),
    );
    expect(annotations).toMatchObject({ "x.example.com/a": "1", "io.katacontainers": "3" });
    expect(Object.keys(annotations ?? {})).not.toContain("other");
  });
});

test("labels are the process's and the files'; a privileged process has none", () => {
  const labels = { process: "u:r:t:s0:c1,c2", mount: "u:r:f:s0:c1,c2" };
  const plain = buildContainerSpec(inputOf({}, {}, { labels }));
  expect([plain.process.selinuxLabel, plain.linux.mountLabel]).toEqual([labels.process, labels.mount]);
  const privileged = { linux: { securityContext: { privileged: true } } };
  const spec = buildContainerSpec(inputOf(privileged, privileged, { labels }));
  expect([spec.process.selinuxLabel, spec.linux.mountLabel]).toEqual([undefined, labels.mount]);
});

test("ambient capabilities are in every set", () => {
  const capabilities = { addAmbientCapabilities: ["net_bind_service"], dropCapabilities: ["ALL"] };
  const { process } = buildContainerSpec(inputOf({ linux: { securityContext: { capabilities } } }));
  const set = ["CAP_NET_BIND_SERVICE"];
  expect(process.capabilities).toEqual({
    bounding: set,
    effective: set,
    permitted: set,
    inheritable: set,
    ambient: set,
  });
});

test("the default seccomp profile fits the capabilities", () => {
  const profiles = { seccomp: "default" as const };
  const names = (add: string[]) =>
    (
      buildContainerSpec(
        inputOf({ linux: { securityContext: { capabilities: { addCapabilities: add } } } }, {}, { profiles }),
      ).linux.seccomp?.syscalls ?? []
    ).flatMap(({ names }) => names);
  expect(names([])).not.toContain("setns");
  expect(names(["SYS_ADMIN"])).toContain("setns");
});

test("an image without a program needs one", () => {
  const image = { ...inputOf({}).image, config: { ...inputOf({}).image.config, cmd: [], entrypoint: [""] } };
  expect(() => buildContainerSpec(inputOf({}, {}, { image }))).toThrow(
    'failed to generate container "c" spec: failed to generate spec: no command specified',
  );
});

test("where the host has it, an AppArmor profile", () => {
  const spec = buildContainerSpec(
    inputOf({}, {}, { profiles: { apparmor: "mine" }, host: { ...facts, apparmor: true } }),
  );
  expect(spec.process.apparmorProfile).toBe("mine");
});
