/** Images to a registry and back by the face for programs: by the daemon, or by the program where the daemon has no transfer service. */
import { describe, expect, test } from "bun:test";
import { createReadStream } from "node:fs";
import { connect, type TransferProgress } from "@hull/client";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { containerds, noContainerd, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { scratch } from "../support/scratch.ts";

const lacking = noContainerd ?? noRegistry;

/** Ways to a daemon, below a folder. */
const daemons: readonly (readonly [name: string, start: typeof startHull])[] = [
  ["hull", (folder) => startHull(folder)],
  ...containerds.map(({ name, command }) => [name, (folder: string) => startContainerd(folder, { command })] as const),
];

describe.if(lacking === undefined)(`registries${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  for (const [name, start] of daemons)
    test(`take an image from ${name}, and give it back, as is told meanwhile`, async () => {
      await using stack = new AsyncDisposableStack();
      const folder = stack.use(scratch());
      const registry = stack.use(await LocalRegistry.start(folder.join("registry")));
      const daemon = stack.use(await start(folder.join("d")));
      await using hull = await connect({ address: daemon.address });
      writeBusyboxImage(folder.join("busybox.tar"), "docker.io/library/busybox:latest");
      const [image] = await hull.images.import(createReadStream(folder.join("busybox.tar")));
      const reference = `${registry.host}/team/box:1`;
      const steps: Record<"push" | "pull", TransferProgress[]> = { push: [], pull: [] };
      await image?.push({ reference, plainHttp: true, onProgress: (step) => steps.push.push(step) });
      const credentials = async () => ({ username: "nobody", secret: "asked for in vain" });
      const onProgress = (step: TransferProgress) => steps.pull.push(step);
      const back = await hull.pull(reference, { plainHttp: true, credentials, onProgress });
      expect([back.name, back.digest]).toEqual([reference, image?.digest ?? ""]);
      expect([steps.push.length > 0, steps.pull.length > 0]).toEqual([true, true]);
      await using container = await hull.run(back, { command: ["echo", "here"] });
      expect(await container.stdout.text()).toBe("here\n");
    });
});
