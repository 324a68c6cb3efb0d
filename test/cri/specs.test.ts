/** The OCI specs of pods' containers: hull's is made of what the real containerd was asked, and has to be the one that containerd made. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import {
  ContainerConfig,
  NamespaceMode,
  PodSandboxConfig,
  SecurityProfile_ProfileType as ProfileType,
} from "@hull/api/gen/cri/v1/cri";
import { defaultCriConfig } from "@hull/cri/config";
import type { Pod, PodNamespaces } from "@hull/cri/model";
import { hostPaths } from "@hull/cri/spec/host";
import { ContainerSpecs, readHostFacts } from "@hull/cri/spec/index";
import { SelinuxLabeler } from "@hull/cri/spec/selinux";
import { openDeviceRegistry } from "@hull/engine/cdi/index";
import { silent } from "@hull/engine/log";
import { HullError } from "@hull/errors";
import type { ImageConfig } from "@hull/oci/manifest";
import type { Spec } from "@hull/oci/spec";
import {
  busybox,
  CriDaemon,
  type NewContainer,
  noPods,
  type PodConfig,
  pause,
  writePodImages,
} from "../support/cri.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);

interface Calls {
  /** @returns the container's id */
  theirs(): Promise<string>;
  ours(id: string): Promise<Spec>;
}

type Security = NonNullable<NonNullable<NewContainer["linux"]>["securityContext"]>;
type Resources = NonNullable<NonNullable<NewContainer["linux"]>["resources"]>;

const users = {
  passwd: "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/home:/bin/sh\n",
  group: "root:x:0:\nguest:x:1000:\nstaff:x:50:guest\n",
};

const imageOf = (config: Partial<ImageConfig["config"]>): ImageConfig => ({
  platform: { os: "linux", architecture: "amd64" },
  diffIds: [],
  history: [],
  config: {
    user: "",
    env: [],
    entrypoint: [],
    cmd: [],
    workingDir: "",
    labels: {},
    volumes: [],
    exposedPorts: [],
    ...config,
  },
});
/** As `writePodImages` makes them. */
const busyboxImage = imageOf({ env: ["PATH=/bin", "OF=image"], cmd: ["sh"], workingDir: "/tmp" });
const pauseImage = imageOf({ env: ["PATH=/bin"], entrypoint: ["/bin/sleep", "2147483647"] });

const secure = (securityContext: Security): NewContainer => ({ linux: { securityContext } });
const limited = (resources: Resources): NewContainer => ({ linux: { resources } });
const podOf = (securityContext: NonNullable<NonNullable<PodConfig["linux"]>["securityContext"]>): PodConfig => ({
  linux: { securityContext },
});
const privilegedPod = podOf({ privileged: true });

interface Case {
  readonly pod?: PodConfig;
  readonly container: NewContainer | ((folder: Scratch) => NewContainer);
  /** containerd's spec as hull would write it, where hull differs on purpose. */
  readonly adapted?: (spec: Spec) => Spec;
}

const cases: Readonly<Record<string, Case>> = {
  "no more than a name and an image": { container: {} },
  "command, arguments, directory, environment": {
    container: {
      command: ["/bin/sh", "-c"],
      args: ["true"],
      workingDir: "/home",
      envs: [
        { key: "A", value: new TextEncoder().encode("ä=b") },
        { key: "HOSTNAME", value: new TextEncoder().encode("mine") },
      ],
    },
  },
  "arguments alone go to the image's program": { container: { args: ["-c", "true"] } },
  terminal: { container: { tty: true, stdin: true } },
  "a pod's host name": { pod: { hostname: "pod-1" }, container: {} },
  annotations: { pod: { annotations: { a: "b" } }, container: { annotations: { c: "d" } } },
  "user by id": { container: secure({ runAsUser: { value: 1000n } }) },
  "user by id that the image doesn't know": { container: secure({ runAsUser: { value: 4711n } }) },
  "user by name": { container: secure({ runAsUsername: "guest" }) },
  "user and group": { container: secure({ runAsUser: { value: 1000n }, runAsGroup: { value: 50n } }) },
  "user by name, with id and group": {
    container: secure({ runAsUsername: "guest", runAsUser: { value: 7n }, runAsGroup: { value: 8n } }),
  },
  "more groups": { container: secure({ runAsUser: { value: 1000n }, supplementalGroups: [9n, 3n, 50n] }) },
  "more groups for root": { container: secure({ supplementalGroups: [1234n] }) },
  "capabilities added and dropped": {
    container: secure({ capabilities: { addCapabilities: ["net_admin", "CHOWN"], dropCapabilities: ["mknod"] } }),
  },
  "all capabilities but one": {
    container: secure({ capabilities: { addCapabilities: ["ALL"], dropCapabilities: ["SYS_ADMIN"] } }),
  },
  "no capability but one": {
    container: secure({ capabilities: { addCapabilities: ["CHOWN"], dropCapabilities: ["ALL"] } }),
  },
  "all capabilities added, and all dropped": {
    container: secure({ capabilities: { addCapabilities: ["all"], dropCapabilities: ["all"] } }),
  },
  privileged: { pod: privilegedPod, container: secure({ privileged: true, runAsUser: { value: 1000n } }) },
  "privileged with paths and a seccomp profile": {
    pod: privilegedPod,
    container: secure({
      privileged: true,
      maskedPaths: ["/proc/kcore"],
      readonlyPaths: ["/proc/sys"],
      seccomp: { profileType: ProfileType.RuntimeDefault },
    }),
  },
  "privileged with a device and a capability dropped": {
    pod: privilegedPod,
    container: {
      ...secure({ privileged: true, capabilities: { dropCapabilities: ["CHOWN"] } }),
      devices: [{ hostPath: "/dev/null", containerPath: "/dev/mine", permissions: "r" }],
    },
  },
  "masked and read-only paths": {
    container: secure({ maskedPaths: ["/proc/kcore", "/proc/keys"], readonlyPaths: ["/proc/sys"] }),
  },
  "read-only root, no new privileges": { container: secure({ readonlyRootfs: true, noNewPrivs: true }) },
  "seccomp by default": { container: secure({ seccomp: { profileType: ProfileType.RuntimeDefault } }) },
  "seccomp by default, in the older form": { container: secure({ seccompProfilePath: "runtime/default" }) },
  "seccomp unconfined": { container: secure({ seccomp: { profileType: ProfileType.Unconfined } }) },
  "seccomp by a file": {
    container: (folder) => {
      const file = folder.join("seccomp.json");
      const syscalls = [{ names: ["chmod"], action: "SCMP_ACT_ERRNO" }];
      writeFileSync(file, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls }));
      return secure({ seccomp: { profileType: ProfileType.Localhost, localhostRef: file } });
    },
  },
  "apparmor unconfined": { container: secure({ apparmorProfile: "unconfined" }) },
  "own pid namespace": { container: secure({ namespaceOptions: { pid: NamespaceMode.CONTAINER } }) },
  "the host's namespaces": {
    pod: podOf({ namespaceOptions: { pid: NamespaceMode.NODE, ipc: NamespaceMode.NODE, network: NamespaceMode.NODE } }),
    container: secure({
      namespaceOptions: { pid: NamespaceMode.NODE, ipc: NamespaceMode.NODE, network: NamespaceMode.NODE },
    }),
    // Its pause process is in the host's and is joined; hull has none.
    adapted: ({ linux, ...spec }) => ({
      ...spec,
      linux: { ...linux, namespaces: linux.namespaces?.filter(({ path }) => path === undefined) },
    }),
  },
  limits: {
    container: limited({
      cpuPeriod: 100000n,
      cpuQuota: 50000n,
      cpuShares: 512n,
      cpusetCpus: "0",
      cpusetMems: "0",
      memoryLimitInBytes: 67108864n,
      oomScoreAdj: 500n,
      unified: { "memory.high": "1000" },
    }),
  },
  "limits of nothing": { container: limited({}) },
  "a score below the daemon's": { container: limited({ oomScoreAdj: -500n }) },
  "limit of swap": { container: limited({ memoryLimitInBytes: 67108864n, memorySwapLimitInBytes: 134217728n }) },
  devices: {
    container: {
      devices: [
        { hostPath: "/dev/null", containerPath: "/dev/none", permissions: "rw" },
        { hostPath: "/dev/net", containerPath: "/dev/network", permissions: "rwm" },
        { hostPath: "/dev/zero", containerPath: "", permissions: "mrw" },
      ],
    },
  },
  mounts: {
    container: (folder) => {
      mkdirSync(folder.join("there"), { recursive: true });
      if (!existsSync(folder.join("link"))) symlinkSync("there", folder.join("link"));
      return {
        mounts: [
          { containerPath: "/a/b/c", hostPath: folder.join("there") },
          { containerPath: "/a", hostPath: folder.join("link"), readonly: true },
          { containerPath: "/made", hostPath: folder.join("not", "there") },
          { containerPath: "/etc/hosts", hostPath: folder.join("there"), readonly: true },
          { containerPath: "/dev/shm/", hostPath: folder.join("there") },
          { containerPath: "/sys/fs/cgroup", hostPath: folder.join("there") },
        ],
      };
    },
  },
  "a /dev of its own": {
    container: (folder) => ({ mounts: [{ containerPath: "/dev", hostPath: folder.join("dev") }] }),
  },
};

/** Requests that both refuse. */
const refused: Readonly<Record<string, Case & { readonly newer?: true }>> = {
  "a group without a user": { container: secure({ runAsGroup: { value: 5n } }) },
  "a user whom the image doesn't know": { container: secure({ runAsUsername: "nobody-here" }) },
  "a user beyond all": { container: secure({ runAsUser: { value: 4294967296n } }), newer: true },
  "privileges that the pod hasn't": { container: secure({ privileged: true }), newer: true },
  "a malformed level": { container: secure({ selinuxOptions: { level: "secret" } }), newer: true },
  "a seccomp profile that isn't there": {
    container: secure({ seccomp: { profileType: ProfileType.Localhost, localhostRef: "/not/there.json" } }),
  },
  "a seccomp profile of no kind": { container: secure({ seccompProfilePath: "mine" }) },
  "a seccomp file with another type": {
    container: secure({ seccomp: { profileType: ProfileType.Unconfined, localhostRef: "/x" } }),
  },
  "an AppArmor profile without AppArmor": { container: secure({ apparmorProfile: "localhost/mine" }) },
  "the default AppArmor profile without AppArmor": {
    container: secure({ apparmor: { profileType: ProfileType.RuntimeDefault } }),
  },
  "a device that isn't there": { container: { devices: [{ hostPath: "/dev/nope", containerPath: "/dev/x" }] } },
  "a device that is a file": {
    container: { devices: [{ hostPath: "/etc/passwd", containerPath: "/dev/x" }] },
    newer: true,
  },
  "a host path below a file": { container: { mounts: [{ containerPath: "/x", hostPath: "/etc/passwd/x" }] } },
  "a CDI device that isn't there": { container: { annotations: { "cdi.k8s.io/a": "vendor.com/gpu=0" } }, newer: true },
  "no CDI device": { container: { annotations: { "cdi.k8s.io/a": "gpu" } }, newer: true },
  "a class of block I/O": { container: { annotations: { "io.kubernetes.cri.blockio-class": "fast" } }, newer: true },
  "a class of caches": { container: { annotations: { "io.kubernetes.cri.rdt-class": "gold" } }, newer: true },
  "users of its own in a pod without": {
    container: secure({
      namespaceOptions: {
        usernsOptions: {
          mode: NamespaceMode.POD,
          uids: [{ hostId: 100000, containerId: 0, length: 65536 }],
          gids: [{ hostId: 100000, containerId: 0, length: 65536 }],
        },
      },
    }),
    newer: true,
  },
  "two mappings of users": {
    container: secure({
      namespaceOptions: {
        usernsOptions: {
          mode: NamespaceMode.POD,
          uids: [
            { hostId: 100000, containerId: 0, length: 1 },
            { hostId: 100001, containerId: 1, length: 1 },
          ],
          gids: [{ hostId: 100000, containerId: 0, length: 1 }],
        },
      },
    }),
    newer: true,
  },
  "a user namespace for the container alone": {
    container: secure({ namespaceOptions: { usernsOptions: { mode: NamespaceMode.CONTAINER } } }),
    newer: true,
  },
  "recursive read-only that can be written": {
    container: { mounts: [{ containerPath: "/x", hostPath: "/etc", recursiveReadOnly: true }] },
    newer: true,
  },
};

const suite = noPods === undefined ? describe : describe.skip;

suite(`specs of containers${noPods === undefined ? "" : ` (skipped: ${noPods})`}`, () => {
  const stack = new AsyncDisposableStack();
  let folder: Scratch;
  let daemon: CriDaemon;
  let specs: ContainerSpecs;
  let older: boolean;
  const settings = defaultCriConfig().runtime;
  const [defaultHandler] = Object.values(settings.containerd.runtimes);
  if (defaultHandler === undefined) throw new Error("no runtime handler is configured");
  const handler = { config: defaultHandler, recursiveReadOnly: false };

  beforeAll(async () => {
    folder = stack.use(scratch());
    const archive = folder.join("images.tar");
    writePodImages(archive);
    daemon = stack.use(await CriDaemon.start("containerd", folder.join("c"), archive));
    const host = {
      facts: readHostFacts(settings),
      paths: hostPaths,
      selinux: new SelinuxLabeler(undefined, 0),
      cdi: openDeviceRegistry([]),
    };
    const { version } = await daemon.client.service(VersionDefinition).version({});
    older = /^v?1\./.test(version);
    // On by default since 2.0.
    const sysctls = { enable_unprivileged_ports: !older, enable_unprivileged_icmp: !older };
    // As the daemon is told, since some machines forbid less.
    specs = new ContainerSpecs({ ...settings, ...sysctls, restrict_oom_score_adj: true }, host, silent);
  });
  afterAll(() => stack.disposeAsync());

  async function specOf(id: string): Promise<Spec> {
    const { container } = await daemon.client.service(ContainersDefinition).get({ id });
    return JSON.parse(new TextDecoder().decode(container?.spec?.value)) as Spec;
  }

  /** The pod as hull would know it, with the paths of containerd's files and pause process. */
  async function podOf(id: string, config: PodSandboxConfig): Promise<Pod> {
    const { process } = await daemon.client.service(TasksDefinition).get({ containerId: id });
    const options = config.linux?.securityContext?.namespaceOptions;
    const path = (kind: string, mode: NamespaceMode | undefined): string | undefined =>
      mode === NamespaceMode.NODE ? undefined : `/proc/${process?.pid}/ns/${kind}`;
    const namespaces: PodNamespaces = {
      net: path("net", options?.network),
      uts: path("uts", options?.network),
      ipc: path("ipc", options?.ipc),
      pid: path("pid", options?.pid),
    };
    return {
      id,
      name: "",
      config,
      runtimeHandler: "",
      createdAt: 0n,
      state: "ready",
      namespaces,
      network: { ip: "", additionalIps: [] },
      processLabel: "",
    };
  }

  const filesOf = (id: string) => {
    const at = (name: string) => join(daemon.root, "io.containerd.grpc.v1.cri/sandboxes", id, name);
    return {
      hostname: at("hostname"),
      hosts: at("hosts"),
      resolvConf: at("resolv.conf"),
      shm: join(daemon.state, "io.containerd.grpc.v1.cri/sandboxes", id, "shm"),
    };
  };
  const rootfs = { users: async () => users };

  async function withPod(config: PodConfig | undefined, use: (id: string, whole: PodSandboxConfig) => Promise<void>) {
    const whole = PodSandboxConfig.fromPartial(daemon.podConfig("pod", config));
    const { podSandboxId } = await daemon.runtime.runPodSandbox({ config: whole });
    try {
      await use(podSandboxId, whole);
    } finally {
      await daemon.removePods();
    }
  }

  /** Asks both for a container. */
  async function both(pod: PodConfig | undefined, container: Case["container"], use: (calls: Calls) => Promise<void>) {
    await withPod(pod, async (podId, podConfig) => {
      const given = typeof container === "function" ? container(folder) : container;
      const config = ContainerConfig.fromPartial({ metadata: { name: "c" }, image: { image: busybox }, ...given });
      const request = { podSandboxId: podId, config, sandboxConfig: podConfig };
      const known = await podOf(podId, podConfig);
      await use({
        theirs: async () => (await daemon.runtime.createContainer(request)).containerId,
        ours: async (id) => {
          const made = await specs.container({
            id,
            pod: known,
            podConfig,
            config,
            imageName: busybox,
            image: busyboxImage,
            handler,
            containerRoot: folder.join("container"),
            podFiles: filesOf(podId),
            rootfs,
          });
          return made.spec;
        },
      });
    });
  }

  for (const [name, { pod, container, adapted = (spec: Spec) => spec }] of Object.entries(cases))
    test(name, () =>
      both(pod, container, async ({ theirs, ours }) => {
        const id = await theirs();
        expect(comparable(await ours(id))).toEqual(comparable(adapted(await specOf(id))));
      }),
    );

  for (const [name, { pod, container, newer }] of Object.entries(refused))
    test(`refused: ${name}`, () =>
      both(pod, container, async ({ theirs, ours }) => {
        const [expected, got] = [await refusal(theirs()), await refusal(ours("ID"))];
        // Refused by newer ones, or in other words than by older ones.
        if (newer && older) expect(got).not.toBe("nothing");
        else expect(got).toBe(expected);
      }));

  const pods: Readonly<Record<string, PodConfig>> = {
    "a pause process": {},
    "a pause process with a name, a user, parameters and annotations": {
      hostname: "pod-1",
      annotations: { a: "b" },
      linux: {
        sysctls: { "net.ipv4.ip_unprivileged_port_start": "80", "kernel.shm_rmid_forced": "1" },
        resources: { cpuShares: 3n, memoryLimitInBytes: 5n },
        securityContext: {
          runAsUser: { value: 1000n },
          seccompProfilePath: "runtime/default",
        },
      },
    },
    "a pause process in the host's namespaces": {
      linux: {
        securityContext: {
          namespaceOptions: { pid: NamespaceMode.NODE, ipc: NamespaceMode.NODE, network: NamespaceMode.NODE },
        },
      },
    },
  };
  for (const [name, config] of Object.entries(pods))
    test(name, () =>
      withPod(config, async (id, podConfig) => {
        const theirs = await specOf(id);
        const net = theirs.linux.namespaces?.find(({ type }) => type === "network")?.path;
        const spec = await specs.pause({
          id,
          config: podConfig,
          imageName: pause,
          image: pauseImage,
          handler,
          namespaces: { net },
          podFiles: filesOf(id),
          rootfs,
          labels: specs.podLabels(podConfig),
        });
        expect(comparable(older ? asOlder(spec) : spec)).toEqual(comparable(theirs));
      }),
    );
});

/** Code and text of the error that a call ends with. */
const refusal = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "nothing",
    (error: unknown) => {
      const { code, message } = HullError.from(error);
      const named = message.replace(/\b[0-9a-f]{64}\b/g, "ID").replace(/mount callback failed on \S+: /, "");
      // What hull adds.
      return `${code}: ${named.replace(/(?<=no users found): .*/, "")}`;
    },
  );

/** A pause process as containerd 1.6 wrote it. */
function asOlder({ annotations, linux, mounts, ...spec }: Spec): Spec {
  const { "io.kubernetes.cri.podsandbox.image-name": _image, ...known } = annotations ?? {};
  const maskedPaths = linux.maskedPaths?.filter((path) => !path.endsWith("/powercap"));
  const bound = mounts.map((mount) => (mount.type === "bind" ? { ...mount, options: ["rbind", "ro"] } : mount));
  const at = bound.findIndex(({ destination }) => destination === "/dev/mqueue");
  // The tmpfs below the bind, which hid it.
  const hidden = { destination: "/dev/shm", type: "tmpfs", source: "shm", options: shmOptions };
  return {
    ...spec,
    annotations: known,
    linux: { ...linux, maskedPaths },
    mounts: bound.toSpliced(at, 0, hidden),
  };
}

const shmOptions = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"];

/** What JSON shows, without what newer containerds, whose newest hull follows, write otherwise than older ones. */
function comparable({ ociVersion: _version, ...spec }: Spec): unknown {
  const { seccomp, namespaces = [] } = spec.linux;
  const known = seccomp?.syscalls?.length === 1;
  const byType = namespaces.toSorted((a, b) => (a.type < b.type ? -1 : 1));
  const linux = { ...spec.linux, namespaces: byType, seccomp: known ? seccomp : seccomp?.defaultAction };
  const env = spec.process.env?.toSorted();
  return JSON.parse(JSON.stringify({ ...spec, process: { ...spec.process, env }, linux }));
}
