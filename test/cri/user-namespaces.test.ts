/** Pods with users of their own, by hull alone: the containerd that tests compare with has none. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import {
  ContainerConfig,
  Mount,
  NamespaceMode,
  type NamespaceOption,
  PodSandboxConfig,
} from "@hull/api/gen/cri/v1/cri";
import type { PartialOf } from "@hull/api/rpc";
import { CriDaemon, noPods, scriptContainer, writePodImages } from "../support/cri.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);

const suite = noPods === undefined ? describe : describe.skip;
const range = [{ hostId: 100_000, containerId: 0, length: 65_536 }];
const usernsOptions = { mode: NamespaceMode.POD, uids: range, gids: range };

suite(`pods with users of their own${noPods === undefined ? "" : ` (skipped: ${noPods})`}`, () => {
  const stack = new AsyncDisposableStack();
  let daemon: CriDaemon;
  let folder: Scratch;
  beforeAll(async () => {
    folder = stack.use(scratch());
    // Root of the pods, who is nobody here, has to get to the files below.
    chmodSync(folder.path, 0o711);
    const archive = folder.join("images.tar");
    writePodImages(archive);
    daemon = stack.use(await CriDaemon.start("hull", folder.join("h"), archive));
  });
  afterAll(() => stack.disposeAsync());

  /** Runs a script in a pod; gives what it prints. */
  async function output(
    options: PartialOf<typeof NamespaceOption>,
    script: string,
    mounts: Mount[] = [],
  ): Promise<string> {
    const namespaceOptions = { usernsOptions, ...options };
    const config = PodSandboxConfig.fromPartial(
      daemon.podConfig("pod", { linux: { securityContext: { namespaceOptions } } }),
    );
    const { podSandboxId } = await daemon.runtime.runPodSandbox({ config });
    try {
      const container = ContainerConfig.fromPartial(
        scriptContainer("c", "sleep 1000", { mounts, linux: { securityContext: { namespaceOptions } } }),
      );
      const request = { podSandboxId, config: container, sandboxConfig: config };
      const { containerId } = await daemon.runtime.createContainer(request);
      await daemon.runtime.startContainer({ containerId });
      const { stdout, stderr } = await daemon.runtime.execSync({ containerId, cmd: ["sh", "-c", script] });
      return Buffer.concat([stdout, stderr]).toString().trim().replace(/ +/g, " ");
    } finally {
      await daemon.removePods();
    }
  }

  const ways: Readonly<Record<string, PartialOf<typeof NamespaceOption>>> = {
    "a pid namespace of the container's": { pid: NamespaceMode.CONTAINER },
    "the pod's pid namespace": { pid: NamespaceMode.POD },
    "the host's network": { pid: NamespaceMode.CONTAINER, network: NamespaceMode.NODE },
  };
  for (const [name, options] of Object.entries(ways))
    test(`root of the container is nobody on the host: ${name}`, async () => {
      const script = "id -u; cat /proc/self/uid_map; stat -c %u /bin/busybox /etc/hosts; touch /root/mine && echo made";
      expect(await output(options, script)).toBe("0\n 0 100000 65536\n0\n0\nmade");
    });

  test("files of the host show their owners, where the mount says so", async () => {
    const ids = { uidMappings: range, gidMappings: range };
    mkdirSync(folder.join("data"));
    writeFileSync(folder.join("data", "file"), "");
    chownSync(folder.join("data", "file"), 7, 8);
    const hostPath = folder.join("data");
    const mounts = [
      Mount.fromPartial({ containerPath: "/mapped", hostPath, ...ids }),
      Mount.fromPartial({ containerPath: "/plain", hostPath, readonly: true }),
    ];
    const script = "stat -c %u:%g /mapped/file /plain/file; touch /mapped/new";
    expect(await output({ pid: NamespaceMode.CONTAINER }, script, mounts)).toBe("7:8\n65534:65534");
    expect(statSync(folder.join("data", "new")).uid).toBe(0);
  });
});
