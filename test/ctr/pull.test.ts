/** The real `ctr images pull` from Debian's docker-registry, on hull beside the real containerd. */
import { afterAll, expect } from "bun:test";
import { busyboxArchive } from "../support/busybox.ts";
import { compared } from "../support/compare.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";

compared(
  "ctr images pull, beside the real containerd",
  async (pair) => void busyboxArchive(pair),
  ({ test, pair }) => {
    let registry: LocalRegistry | undefined;
    afterAll(() => registry?.[Symbol.asyncDispose]());

    test(
      noRegistry === undefined ? "pull, run, and what isn't there" : `pull (skipped: ${noRegistry})`,
      async ({ folder, same }) => {
        if (noRegistry !== undefined) return;
        const layout = folder.join("layout");
        await Bun.$`mkdir ${layout} && tar -xf ${folder.join("busybox.tar")} -C ${layout}`.quiet();
        registry = await LocalRegistry.start(folder.join("registry"));
        await registry.push(layout, "test/busybox:1");
        const name = `${registry.host}/test/busybox:1`;
        // Of the progress, which is drawn anew every 100 ms, only what was resolved and unpacked. ctr itself logs that it stopped drawing.
        const pull = async (...args: string[]): Promise<void> => {
          const [real, ours] = await Promise.all(pair().sides.map((side) => side.ctr(["images", "pull", ...args])));
          const parts = (text = ""): string[] => [
            ...new Set(text.split("\n").flatMap((line) => /^\S+:\s+resolved|^unpacking.*/.exec(line) ?? [])),
          ];
          expect(ours?.status).toBe(0);
          expect(parts(ours?.stdout).sort()).toEqual(parts(real?.stdout).sort());
        };
        await pull("--plain-http", name);
        await same(["images", "ls"]);
        await same(["content", "ls"], { sorted: true });
        await same(["snapshots", "ls"]);
        await same(["images", "check"]);
        await same(["run", "--rm", name, "p1", "echo", "pulled"]);
        await pull("--plain-http", name);
        // The bars of one that takes longer than the moment between two drawings.
        const mask = /^\S+: +resolving .*\n|^elapsed: .*\n/gm;
        await same(["images", "pull", "--plain-http", `${registry.host}/test/none:1`], { mask });
        await same(["images", "pull", "--plain-http", `${registry.host}/test/busybox:none`], { mask });
        await same(["images", "pull", "--plain-http", "--platform", "linux/s390x", name], { mask: /[\s\S]*/g });
        await same(["images", "pull", "not a reference"]);
        await same(["content", "fetch", "--plain-http", name], { mask: /[\s\S]*/g });
        await same(["images", "push", "--plain-http", `${registry.host}/test/pushed:1`, name], { mask: /[\s\S]*/g });
      },
    );
  },
);
