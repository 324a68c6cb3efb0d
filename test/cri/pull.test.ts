/** Pulls of pods that are cut: by a crash of the daemon, a registry that falls silent, callers that leave. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { ImageServiceDefinition } from "@hull/api/gen/cri/v1/cri";
import type { ServiceClient } from "@hull/api/rpc";
import { type Client, connect } from "@hull/client/client";
import { isCode } from "@hull/errors";
import { busyboxLayer, tarOfFolder, writeLayout } from "../../scripts/image.ts";
import { type Daemon, noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { Tap } from "../support/tap.ts";

const lacking = noContainerd ?? noRegistry;
const MiB = 1 << 20;
const largeSize = 40 * MiB;
/** Beyond what may be on the way in buffers of sockets and programs. */
const holdAt = 36 * MiB;

describe.skipIf(lacking !== undefined)(`pulls of pods${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  let shared: Scratch;
  let registry: LocalRegistry;
  let folder: Scratch;
  let tap: Tap;
  let daemon: Daemon;
  let client: Client;

  /** Starts the daemon, and waits until its CRI serves. */
  async function start(config = ""): Promise<void> {
    daemon = await startHull(folder.path, config);
    client = await connect({ address: daemon.address, namespace: "k8s.io" });
    for (let tries = 0; ; tries++) {
      try {
        await images().listImages({});
        return;
      } catch (error) {
        if (tries === 2000 || !isCode(error, "unavailable")) throw error;
        await Bun.sleep(20);
      }
    }
  }
  async function stop(signal: NodeJS.Signals): Promise<void> {
    await daemon.stop(signal);
    await client[Symbol.asyncDispose]();
  }

  const images = (): ServiceClient<typeof ImageServiceDefinition> => client.service(ImageServiceDefinition);
  const request = () => ({ image: { image: `${tap.host}/large:1` } });
  const failure = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => "none",
      ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
    );
  const leases = async (): Promise<unknown[]> => (await client.service(LeasesDefinition).list({})).leases;
  /** Where the bytes of large answers were asked from, and no others. */
  const resumed = (): number[] => tap.of("/blobs/").flatMap(({ from }) => (from > 0 ? [from] : []));

  beforeAll(async () => {
    shared = scratch();
    const files = shared.join("files");
    mkdirSync(files);
    writeFileSync(`${files}/large`, randomBytes(largeSize));
    const layers = [
      { tar: busyboxLayer(), compression: "gzip" },
      { tar: tarOfFolder(files), compression: "none" },
    ] as const;
    writeLayout(shared.join("layout"), [{ name: "example.com/large:1", layers }]);
    registry = await LocalRegistry.start(shared.join("registry"));
    await registry.push(shared.join("layout"), "large:1");
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    shared[Symbol.dispose]();
  });
  beforeEach(async () => {
    folder = scratch();
    tap = await Tap.open(registry.host);
  });
  afterEach(async () => {
    await stop("SIGTERM");
    await tap[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test("the daemon is killed in the middle: nothing is listed, and the next pull goes on from there", async () => {
    await start();
    const reached = tap.holdAfter(holdAt);
    const cut = Promise.all([failure(images().pullImage(request())), failure(images().pullImage(request()))]);
    await reached;
    await stop("SIGKILL");
    for (const text of await cut) expect(text).toMatch(/^(unavailable|canceled): /);
    tap.release();
    await start();
    expect((await images().listImages({})).images).toEqual([]);
    const { imageRef } = await images().pullImage(request());
    expect((await images().imageStatus(request())).image?.id).toBe(imageRef);
    expect(resumed()).toHaveLength(1);
    expect(tap.received).toBeLessThan(largeSize + 30 * MiB);
    expect(await leases()).toEqual([]);
  });

  test("a registry that falls silent is given up", async () => {
    await start('version = 3\n[plugins."io.containerd.cri.v1.images"]\nimage_pull_progress_timeout = "500ms"\n');
    const reached = tap.holdAfter(holdAt);
    const text = failure(images().pullImage(request()));
    await reached;
    expect(await text).toEndWith("nothing came from the registry for 500 ms (image_pull_progress_timeout)");
    tap.release();
    await images().pullImage(request());
    expect(resumed()).toHaveLength(1);
    expect(await leases()).toEqual([]);
  });

  test("one who doesn't wait any longer leaves it to the others", async () => {
    await start();
    const reached = tap.holdAfter(holdAt);
    const short = failure(images().pullImage(request(), { timeoutMs: 3000 }));
    const long = images().pullImage(request());
    await reached;
    expect(await short).toStartWith("deadlineExceeded: ");
    tap.release();
    const { imageRef } = await long;
    expect(imageRef).toStartWith("sha256:");
    expect(resumed()).toEqual([]);
  });
});
