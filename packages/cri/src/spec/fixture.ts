import { ContainerConfig, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import type { PartialOf } from "@hull/api/rpc";
import { invalidArgument } from "@hull/errors";
import type { ImageConfig } from "@hull/oci/manifest";
import { defaultCriConfig } from "../config.ts";
import type { Pod } from "../model.ts";
import type { ContainerSpecInput, HostFacts, SpecHandler } from "./input.ts";
import type { HostPaths } from "./mounts.ts";

const [config] = Object.values(defaultCriConfig().runtime.containerd.runtimes);
if (config === undefined) throw invalidArgument("the default configuration has no runtime");

/** Runc's, as it is without configuration. */
export const handler: SpecHandler = { config, recursiveReadOnly: true };

/** A host with all that a usual one has. */
export const facts: HostFacts = {
  hostname: "node-1",
  architecture: "amd64",
  unifiedCgroups: true,
  cgroupOptions: ["nsdelegate"],
  swapController: true,
  hugetlbController: true,
  capabilities: ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"],
  seccomp: true,
  apparmor: false,
  oomScore: { own: 0, mayLower: true },
};

export const imageOf = (given: Partial<ImageConfig["config"]>): ImageConfig => ({
  platform: { os: "linux", architecture: "amd64" },
  diffIds: [],
  history: [],
  config: {
    ...{ user: "", env: [], entrypoint: [], cmd: ["sh"], workingDir: "", labels: {}, volumes: [], exposedPorts: [] },
    ...given,
  },
});

/** What a container's spec is made of, when nothing is asked for. */
export function inputOf(
  container: PartialOf<typeof ContainerConfig>,
  podConfig: PartialOf<typeof PodSandboxConfig> = {},
  changes: Partial<ContainerSpecInput> = {},
): ContainerSpecInput {
  const podWhole = PodSandboxConfig.fromPartial({ metadata: { name: "p", namespace: "n", uid: "u" }, ...podConfig });
  const pod: Pod = {
    id: "pod",
    name: "p_n_u_0",
    config: podWhole,
    runtimeHandler: "",
    createdAt: 0n,
    state: "ready",
    namespaces: { net: "/ns/net", ipc: "/ns/ipc", uts: "/ns/uts", pid: "/ns/pid" },
    network: { ip: "", additionalIps: [] },
    processLabel: "",
  };
  return {
    id: "c",
    pod,
    podConfig: podWhole,
    config: ContainerConfig.fromPartial({ metadata: { name: "main" }, ...container }),
    imageName: "busybox",
    image: imageOf({}),
    handler,
    settings: defaultCriConfig().runtime,
    host: facts,
    mounts: { mounts: [] },
    devices: [],
    users: {},
    profiles: {},
    labels: { process: "", mount: "" },
    ...changes,
  };
}

/** A host where everything is there, and every mount is private but `/shared` and `/slave`. */
export const paths: HostPaths = {
  makeDirectory: async () => {},
  find: async (path) => path,
  mountOf: async (path) => {
    const target = ["/shared", "/slave"].find((place) => path.startsWith(place)) ?? "/";
    const propagation = target === "/shared" ? ["shared:1"] : target === "/slave" ? ["master:1"] : [];
    return { target, propagation };
  },
  relabel: async () => {},
};
