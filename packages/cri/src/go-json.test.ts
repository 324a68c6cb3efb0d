import { expect, test } from "bun:test";
import { ContainerConfig, NamespaceMode, PodSandboxConfig, Protocol } from "@hull/api/gen/cri/v1/cri";
import fc from "fast-check";
import { fromGo, toGo } from "./go-json.ts";

const config = PodSandboxConfig.fromPartial({
  metadata: { name: "p", uid: "u", namespace: "n", attempt: 1 },
  logDirectory: "/logs",
  dnsConfig: {},
  portMappings: [{ protocol: Protocol.UDP, containerPort: 53, hostPort: 5353 }],
  labels: { camelCase: "kept", "a/b": "" },
  linux: {
    cgroupParent: "/kubepods",
    sysctls: { "net.ipv4.ip_forward": "1" },
    resources: {
      cpuPeriod: 100_000n,
      unified: { "memory.high": "1" },
      hugepageLimits: [{ pageSize: "2MB", limit: 4n }],
    },
    securityContext: {
      runAsUser: { value: 0n },
      runAsGroup: { value: 7n },
      supplementalGroups: [1n, 2n],
      namespaceOptions: {
        network: NamespaceMode.NODE,
        usernsOptions: { mode: NamespaceMode.POD, uids: [{ hostId: 1, containerId: 0, length: 2 }], gids: [] },
      },
    },
  },
});

test("a pod's configuration is written as Go writes it", () => {
  expect(toGo(config)).toEqual({
    metadata: { name: "p", uid: "u", namespace: "n", attempt: 1 },
    log_directory: "/logs",
    dns_config: {},
    port_mappings: [{ protocol: 1, container_port: 53, host_port: 5353 }],
    labels: { camelCase: "kept", "a/b": "" },
    linux: {
      cgroup_parent: "/kubepods",
      sysctls: { "net.ipv4.ip_forward": "1" },
      resources: {
        cpu_period: 100_000,
        unified: { "memory.high": "1" },
        hugepage_limits: [{ page_size: "2MB", limit: 4 }],
      },
      security_context: {
        run_as_user: {},
        run_as_group: { value: 7 },
        supplemental_groups: [1, 2],
        namespace_options: { network: 2, userns_options: { uids: [{ host_id: 1, length: 2 }] } },
      },
    },
  });
});

test("and read back", () => {
  const read = fromGo(JSON.parse(JSON.stringify(toGo(config))));
  expect(PodSandboxConfig.fromPartial(read as PodSandboxConfig)).toEqual(config);
});

test("names that aren't snake case in the file keep theirs", () => {
  const container = ContainerConfig.fromPartial({
    CDIDevices: [{ name: "vendor.com/gpu=0" }],
    mounts: [{ containerPath: "/x", uidMappings: [{ hostId: 1, containerId: 2, length: 3 }] }],
  });
  const json = toGo(container) as Record<string, unknown>;
  expect(json.CDI_devices).toEqual([{ name: "vendor.com/gpu=0" }]);
  expect(JSON.stringify(json.mounts)).toContain('"uidMappings":[{"host_id":1');
  expect(ContainerConfig.fromPartial(fromGo(json) as ContainerConfig)).toEqual(container);
});

test("maps come through whatever their keys are", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string()), (labels) => {
      const message = PodSandboxConfig.fromPartial({ labels, annotations: labels });
      const read = fromGo(JSON.parse(JSON.stringify(toGo(message))));
      expect(PodSandboxConfig.fromPartial(read as PodSandboxConfig)).toEqual(message);
    }),
  );
});
