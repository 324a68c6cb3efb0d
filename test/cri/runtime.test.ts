/** What the daemon says of itself, and what it is told, beside the real containerd. */
import { unlink } from "node:fs/promises";
import { comparedCri } from "./pair.ts";

comparedCri("the runtime", (test) => {
  test("what it says of itself", async ({ same }) => {
    await same("version", async ({ runtime }) => {
      const { version, runtimeApiVersion } = await runtime.version({});
      return { version, runtimeApiVersion };
    });
    await same("conditions", async ({ runtime }) => {
      const { status } = await runtime.status({});
      return status?.conditions.filter(({ type }) => /^(Runtime|Network)Ready$/.test(type));
    });
    await same("keys of what it tells at length", async ({ runtime }) => {
      const { info } = await runtime.status({ verbose: true });
      // What the program itself was made with.
      return Object.keys(info)
        .filter((key) => key !== "golang")
        .sort();
    });
    await same("the driver of control groups", ({ runtime }) => runtime.runtimeConfig({}), {
      newer: { linux: { cgroupDriver: 1 } },
    });
    await same("a range of addresses", ({ runtime }) =>
      runtime.updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr: "10.9.0.0/24" } } }),
    );
  });

  test("a network that goes and comes", async ({ same, each, servers }) => {
    const network = ({ runtime }: { runtime: { status(request: object): Promise<Status> } }) =>
      runtime.status({}).then(({ status }) => status?.conditions.find(({ type }) => type === "NetworkReady"));
    const file = "net.d/10-pods.conflist";
    const kept = await Bun.file(servers[0].folder(file)).text();
    await each(({ folder }) => unlink(folder(file)));
    await each((s) => until(async () => (await network(s))?.status === false));
    await same("without", network);
    // containerd overlooks a file that is moved there.
    await each(async ({ folder, daemon }) =>
      Bun.write(folder(file), kept.replace(servers[0].daemon.folder, daemon.folder)),
    );
    await each((s) => until(async () => (await network(s))?.status === true));
    await same("with it again", network);
    await same("a pod now", (s) => s.runPod("web"));
  });
});

interface Status {
  readonly status?: { readonly conditions: { type: string; status: boolean; reason: string; message: string }[] };
}

/** Waits, for up to 10 s, for what a daemon sees by itself. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 2000 && !(await isSo()); tries++) await Bun.sleep(20);
}
