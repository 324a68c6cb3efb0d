/** Options of mounts beyond read-only, by hull alone: no containerd that tests compare with has them. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { ContainerConfig, Mount, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { CriDaemon, noPods, scriptContainer, writePodImages } from "../support/cri.ts";
import { scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);

const suite = noPods === undefined ? describe : describe.skip;

suite(`options of mounts${noPods === undefined ? "" : ` (skipped: ${noPods})`}`, () => {
  test("nothing is run from a mount with noexec", async () => {
    using folder = scratch();
    const archive = folder.join("images.tar");
    writePodImages(archive);
    mkdirSync(folder.join("data"));
    writeFileSync(folder.join("data", "program"), "#!/bin/sh\necho ran\n", { mode: 0o755 });
    await using daemon = await CriDaemon.start("hull", folder.join("h"), archive);
    const { features } = await daemon.runtime.status({});
    expect(features?.mountOptions).toBe(true);
    const config = PodSandboxConfig.fromPartial(daemon.podConfig("pod"));
    const { podSandboxId } = await daemon.runtime.runPodSandbox({ config });
    const hostPath = folder.join("data");
    const mounts = [
      Mount.fromPartial({ containerPath: "/plain", hostPath }),
      Mount.fromPartial({ containerPath: "/noexec", hostPath, mountOptions: ["noexec", "rnodev"] }),
    ];
    const container = ContainerConfig.fromPartial(scriptContainer("c", "sleep 1000", { mounts }));
    const request = { podSandboxId, config: container, sandboxConfig: config };
    const { containerId } = await daemon.runtime.createContainer(request);
    await daemon.runtime.startContainer({ containerId });
    const run = async (program: string): Promise<string> => {
      const cmd = ["sh", "-c", program];
      const { stdout, stderr } = await daemon.runtime.execSync({ containerId, cmd });
      return Buffer.concat([stdout, stderr]).toString().trim();
    };
    expect(await run("/plain/program")).toBe("ran");
    expect(await run("/noexec/program")).toContain("Permission denied");
    expect(await run("grep /noexec /proc/self/mounts")).toMatch(/ rw,(nodev,noexec|.*noexec,nodev|.*nodev,noexec)/);
    await daemon.removePods();
  });
});
