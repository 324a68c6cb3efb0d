/** Images as volumes of containers, by hull alone: the containerd that tests compare with has none. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ContainerConfig, Mount, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { busybox, CriDaemon, type NewContainer, noPods, scriptContainer, writePodImages } from "../support/cri.ts";
import { scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);

const suite = noPods === undefined ? describe : describe.skip;

suite(`image volumes${noPods === undefined ? "" : ` (skipped: ${noPods})`}`, () => {
  const stack = new AsyncDisposableStack();
  let daemon: CriDaemon;
  beforeAll(async () => {
    const folder = stack.use(scratch());
    const archive = folder.join("images.tar");
    writePodImages(archive);
    daemon = stack.use(await CriDaemon.start("hull", folder.join("h"), archive));
  });
  afterAll(() => stack.disposeAsync());

  const volumes = () => join(daemon.state, "io.containerd.grpc.v1.cri", "image-volumes");
  const volume = (mount: Partial<Mount> = {}): Mount =>
    Mount.fromPartial({ containerPath: "/volume", readonly: true, image: { image: busybox }, ...mount });

  async function inPod<T>(use: (pod: { id: string; config: PodSandboxConfig }) => Promise<T>): Promise<T> {
    const config = PodSandboxConfig.fromPartial(daemon.podConfig("pod"));
    const { podSandboxId } = await daemon.runtime.runPodSandbox({ config });
    try {
      return await use({ id: podSandboxId, config });
    } finally {
      await daemon.removePods();
      expect(existsSync(volumes()) ? readdirSync(volumes()) : []).toEqual([]);
      expect(readFileSync(`/proc/${daemon.machine.pid}/mountinfo`, "utf8")).not.toContain("image-volumes");
    }
  }

  const create = async (pod: { id: string; config: PodSandboxConfig }, container: NewContainer): Promise<string> => {
    const config = ContainerConfig.fromPartial(container);
    const request = { podSandboxId: pod.id, config, sandboxConfig: pod.config };
    return (await daemon.runtime.createContainer(request)).containerId;
  };
  const output = async (containerId: string, ...cmd: string[]): Promise<string> => {
    const { stdout, stderr, exitCode } = await daemon.runtime.execSync({ containerId, cmd });
    return `${exitCode} ${Buffer.concat([stdout, stderr]).toString().trim()}`;
  };

  test("its files can be read and not written, in two containers of a pod; a part of it too", () =>
    inPod(async (pod) => {
      const mounts = [volume(), volume({ containerPath: "/part", imageSubPath: "etc" })];
      for (const name of ["one", "two"]) {
        const id = await create(pod, scriptContainer(name, "sleep 1000", { mounts }));
        await daemon.runtime.startContainer({ containerId: id });
        expect(await output(id, "cat", "/volume/etc/passwd")).toContain("0 root:x:0:0");
        expect(await output(id, "cat", "/part/passwd")).toContain("0 root:x:0:0");
        expect(await output(id, "touch", "/volume/x")).toContain("Read-only file system");
        const { status } = await daemon.runtime.containerStatus({ containerId: id });
        expect(status?.mounts[0]?.image?.imageRef).toBe(status?.imageId ?? "none");
      }
      expect(readdirSync(join(volumes(), pod.id))).toHaveLength(1);
    }));

  const refused: Readonly<Record<string, [mount: Partial<Mount>, why: string]>> = {
    "one that is to be written": [{ readonly: false }, "readonly must be true"],
    "one with a path of the host": [{ hostPath: "/etc" }, "hostpath must be empty"],
    "an image that isn't here": [
      { image: { ...volume().image, image: "example.com/not:here" } as Mount["image"] },
      "failed to resolve image",
    ],
    "a part that isn't there": [{ imageSubPath: "not/there" }, "openat not/there: no such file or directory"],
    "a part that is a file": [{ imageSubPath: "etc/passwd" }, "only directory subpath is supported"],
    "a part outside": [{ imageSubPath: "../.." }, "path escapes from parent"],
  };
  for (const [name, [mount, why]] of Object.entries(refused))
    test(`refused: ${name}`, () =>
      inPod(async (pod) => {
        const creating = create(pod, scriptContainer("c", "true", { mounts: [volume(mount)] }));
        await expect(creating).rejects.toThrow("failed to mount image volume: ImageVolumeMountFailed: ");
        await expect(creating).rejects.toThrow(why);
      }));

  test("a daemon that is killed meanwhile takes them down all the same", () =>
    inPod(async (pod) => {
      await create(pod, scriptContainer("c", "true", { mounts: [volume()] }));
      await daemon.stop("SIGKILL");
      await daemon.boot();
    }));
});
