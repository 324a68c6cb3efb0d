import { expect, test } from "bun:test";
import { ContainerConfig, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { goJson, parseGoJson } from "./go-json.ts";

const container = ContainerConfig.fromPartial({
  metadata: { name: "web", attempt: 2 },
  image: { image: "busybox", userSpecifiedImage: "busybox" },
  envs: [{ key: "A", value: new TextEncoder().encode("b=c") }],
  labels: { "snake_case.key": "value", value: "x" },
  mounts: [{ containerPath: "/a", hostPath: "/b", uidMappings: [{ hostId: 1, containerId: 0, length: 5 }] }],
  CDIDevices: [{ name: "v.com/c=d" }],
  linux: {
    resources: { memoryLimitInBytes: 9_223_372_036_854_775_807n, unified: { "memory.high": "1" } },
    securityContext: { runAsUser: { value: 1000n }, supplementalGroups: [1n, 2n], privileged: true },
  },
});

test("is what Go writes of the generated types", () => {
  expect(JSON.stringify(goJson(container))).toBe(
    '{"metadata":{"name":"web","attempt":2},"image":{"image":"busybox","user_specified_image":"busybox"},' +
      '"envs":[{"key":"A","value":"Yj1j"}],' +
      '"mounts":[{"container_path":"/a","host_path":"/b","uidMappings":[{"host_id":1,"length":5}]}],' +
      '"labels":{"snake_case.key":"value","value":"x"},' +
      '"linux":{"resources":{"memory_limit_in_bytes":9223372036854775807,"unified":{"memory.high":"1"}},' +
      '"security_context":{"privileged":true,"run_as_user":{"value":1000},"supplemental_groups":[1,2]}},' +
      '"CDI_devices":[{"name":"v.com/c=d"}]}',
  );
});

test("comes back as it was", () => {
  const back = (message: unknown) => parseGoJson(JSON.stringify(goJson(message))) as object;
  expect(ContainerConfig.fromPartial(back(container))).toEqual(container);
  const pod = PodSandboxConfig.fromPartial({
    metadata: { name: "p", uid: "17", namespace: "n", attempt: 1 },
    portMappings: [{ hostPort: 80 }],
    dnsConfig: { servers: ["1.1.1.1"] },
    linux: { sysctls: { "net.a_b": "1" }, securityContext: { namespaceOptions: { pid: 1 } } },
  });
  expect(PodSandboxConfig.fromPartial(back(pod))).toEqual(pod);
});
