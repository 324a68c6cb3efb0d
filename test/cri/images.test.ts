/** Images: what the ImageService answers beside the real containerd, pulling from a registry on each one's own machine. */
import { expect, test as plainTest } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { busyboxLayer, tarOfFolder, writeLayout } from "../../scripts/image.ts";
import { pause } from "../support/cri.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { type CriPair, type CriServer, comparedCri } from "./pair.ts";

const host = "127.0.0.1:5000";
const at = (name: string): string => `${host}/${name}`;
const spec = (image: string) => ({ image: { image } });

/** The names of what both registries have, with digests. */
interface Pushed {
  /** Of the manifest that is `some/image:1`, `some/image:latest` and `other/image:2`, and of its config. */
  readonly digest: string;
  readonly id: string;
}

/** Starts a registry with the same images on both machines, and removes the images from both daemons at its end. */
async function withRegistries({ folder, each }: CriPair, run: (pushed: Pushed) => Promise<void>): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const base = folder.join(`registry-${crypto.randomUUID()}`);
  const layout = `${base}/layout`;
  const files = `${base}/files`;
  mkdirSync(files, { recursive: true });
  writeFileSync(`${files}/hello`, "hello\n");
  const config = {
    User: "1002:3",
    Env: ["PATH=/bin"],
    Entrypoint: ["sh"],
    Cmd: [],
    Labels: { a: "b" },
    Volumes: { "/v": {} },
    ExposedPorts: { "80/tcp": {} },
    WorkingDir: "/tmp",
    StopSignal: "SIGINT",
  };
  const layers = [
    { tar: busyboxLayer(), compression: "gzip" },
    { tar: tarOfFolder(files), compression: "gzip" },
  ] as const;
  writeLayout(layout, [{ name: "example.com/x:1", layers, config }]);
  const filled = stack.use(await LocalRegistry.start(base));
  const digest = await filled.push(layout, "some/image:1");
  await filled.push(layout, "some/image:latest");
  await filled.push(layout, "other/image:2");
  writeLayout(`${layout}2`, [{ name: "example.com/y:1", layers: layers.slice(0, 1), config: { User: "web" } }]);
  await filled.push(`${layout}2`, "named/image:1");
  const manifest = JSON.parse(readFileSync(`${layout}/blobs/${digest.replace(":", "/")}`, "utf8")) as {
    config: { digest: string };
  };
  const file = `${base}/inside.yml`;
  writeFileSync(file, readFileSync(`${base}/config.yml`, "utf8").replace(filled.host, host));
  await each(async ({ daemon }) => {
    stack.use(await daemon.machine.serve(["/usr/bin/docker-registry", "serve", file], /listening on/));
  });
  try {
    await run({ digest, id: manifest.config.digest });
  } finally {
    await each(async ({ images }) => {
      for (const name of ["some/image:1", "named/image:1"]) await images.removeImage(spec(at(name)));
    });
  }
}

const statusOf =
  (image: string, verbose = false) =>
  ({ images }: CriServer) =>
    images.imageStatus({ ...spec(image), verbose });

/** Lists have no order. */
const listed = async ({ images }: CriServer) =>
  (await images.listImages({})).images.sort((a, b) => (a.id < b.id ? -1 : 1));

interface Shown {
  readonly repoTags: readonly string[];
  readonly pinned: boolean;
}

/** Older ones pin no images. */
const pinned = {
  newer: (older: unknown): unknown =>
    (older as Shown[]).map((image) => ({ ...image, pinned: image.repoTags.includes(pause) })),
};

const compared: typeof comparedCri =
  noRegistry === undefined
    ? comparedCri
    : (name) => plainTest.skip(`${name} of pods (skipped: ${noRegistry})`, () => undefined);

compared("images", (test) => {
  test("pulled by tag, by digest and without either, and known by each name", async (pair) =>
    withRegistries(pair, async ({ digest, id }) => {
      const { same } = pair;
      const pull = (image: string) => same(`pull ${image}`, ({ images }) => images.pullImage(spec(image)));
      await pull(at("some/image:1"));
      await same("list after one", listed, pinned);
      await pull(at("some/image:1"));
      await pull(at("some/image"));
      await pull(at("other/image:2"));
      await pull(`${at("other/image:9")}@${digest}`);
      await pull(at("named/image:1"));
      await same("list", listed, pinned);
      const names = [
        ...[at("some/image:1"), at("some/image"), at("named/image:1"), `${at("some/image")}@${digest}`],
        ...[`${at("some/image:9")}@${digest}`, id, id.slice(7), id.slice(7, 20), id.slice(0, 20)],
        ...[at("some/image:9"), at("no/image:1"), digest, "zz", "sha256:", "No Name", `sha256:${"0".repeat(64)}`],
      ];
      for (const name of names) await same(`status of ${name}`, statusOf(name));
      await same("verbose status", statusOf(id, true));
      await same("records", async ({ daemon }) => {
        const { stdout } = await daemon.ctr("images", "ls");
        return stdout.replace(/ +/g, " ").replaceAll(",io.cri-containerd.pinned=pinned", "");
      });
    }));

  test("removed by any name, all names at once, and again", async (pair) =>
    withRegistries(pair, async ({ id }) => {
      const { same, each } = pair;
      await each(({ images }) => images.pullImage(spec(at("some/image:1"))));
      await each(({ images }) => images.pullImage(spec(at("other/image:2"))));
      const remove = (image: string) => same(`remove ${image}`, ({ images }) => images.removeImage(spec(image)));
      await remove(at("no/image:1"));
      await remove(at("other/image:2"));
      await same("status by the other name", statusOf(at("some/image:1")));
      await same("status by id", statusOf(id));
      await remove(at("some/image:1"));
      await remove(id);
      await same("list", listed, pinned);
      await same("records", ({ daemon }) => daemon.ctr("images", "ls", "-q"));
      await same("content", ({ daemon }) => daemon.ctr("content", "ls", "-q"));
    }));

  test("what ctr records and deletes is seen", async (pair) =>
    withRegistries(pair, async ({ id }) => {
      const { same, each } = pair;
      const soon = (image: string, isThere: boolean) =>
        each(async (server) => {
          for (let tries = 0; tries < 2000; tries++) {
            const { image: found } = await statusOf(id)(server);
            if (found?.repoTags.includes(image) === isThere) return;
            await Bun.sleep(10);
          }
        });
      await each(({ images }) => images.pullImage(spec(at("some/image:1"))));
      await each(({ daemon }) => daemon.ctr("images", "tag", at("some/image:1"), "example.com/tagged:1"));
      await soon("example.com/tagged:1", true);
      await same("status", statusOf("example.com/tagged:1"));
      await each(({ daemon }) => daemon.ctr("images", "rm", "example.com/tagged:1", at("some/image:1")));
      await soon(at("some/image:1"), false);
      await same("status by id", statusOf(id));
      await same("status by tag", statusOf(at("some/image:1")));
      await same("pinned", ({ daemon }) => daemon.ctr("images", "label", id, "io.cri-containerd.pinned=pinned"));
      await each(async (server) => {
        for (let tries = 0; tries < 2000 && !(await statusOf(id)(server)).image?.pinned; tries++) await Bun.sleep(10);
      });
      await same("status, pinned", statusOf(id), {
        newer: ({ image, ...rest }: { image: Shown }) => ({ ...rest, image: { ...image, pinned: true } }),
      });
    }));

  test("what can't be pulled", async (pair) =>
    withRegistries(pair, async () => {
      const { same } = pair;
      // A newer one says "image" where older ones say the reference once more.
      const resolving = /failed to resolve (image|reference "[^"]*"):/;
      const pull = (image: string, mask = resolving) =>
        same(`pull ${image}`, ({ images }) => images.pullImage(spec(image)), { mask });
      await pull(at("no/image"));
      await pull(at("some/image:9"));
      await pull(`${at("some/image")}@sha256:${"0".repeat(64)}`);
      await pull("a".repeat(64));
      // What is wrong with a name each says in words of its own, after these.
      await pull("", /(?<=invalid reference format).*$/);
      await pull("No Name", /(?<=invalid reference format).*$/);
      await pull("127.0.0.1:1/no", /failed to resolve .*$/);
    }));

  test("the disk that they take", async (pair) =>
    withRegistries(pair, async () => {
      await pair.each(({ images }) => images.pullImage(spec(at("some/image:1"))));
      const [containerd, hull] = await Promise.all(
        pair.servers.map(async ({ images, folder }) => {
          // containerd looks every ten seconds.
          for (let tries = 0; tries < 600; tries++) {
            const { imageFilesystems } = await images.imageFsInfo({});
            const [use] = imageFilesystems;
            if ((use?.usedBytes?.value ?? 0n) > 0n || tries === 599)
              return { count: imageFilesystems.length, path: use?.fsId?.mountpoint.replace(folder(""), "") };
            await Bun.sleep(100);
          }
          return undefined;
        }),
      );
      expect(hull).toEqual(containerd);
    }));
});
