/** Pushes to Debian's docker-registry, and archives: what arrives is what is here, whatever breaks on the way, and what is there isn't sent. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, connect } from "@hull/client/client";
import { exportImages, importImages, pushImage, type TransferProgress, tagImage } from "@hull/client/transfer";
import { busyboxLayer, tarOfFolder, writeBusyboxImage, writeLayout } from "../../scripts/image.ts";
import { type Daemon, noContainerd, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

const lacking = noContainerd ?? noRegistry;
const suite = lacking === undefined ? describe : describe.skip;
const MiB = 1 << 20;
const busybox = "docker.io/library/busybox:latest";

suite(`push and export${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  let folder: Scratch;
  let registry: LocalRegistry;
  let daemon: Daemon;
  let client: Client;
  let number = 0;
  /** A name in the registry that no other test has. */
  const fresh = (): string => `${registry.host}/test/image${number++}:1`;
  const raw = async (reference: string): Promise<string> =>
    (await runProgram(["skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${reference}`])).stdout;

  beforeAll(async () => {
    folder = scratch();
    registry = await LocalRegistry.start(folder.join("registry"));
    daemon = await startHull(folder.join("hull"));
    client = await connect({ address: daemon.address });
    const layout = folder.join("layout");
    const files = folder.join("files");
    mkdirSync(files);
    writeFileSync(join(files, "large"), randomBytes(80 * MiB));
    const large = { tar: tarOfFolder(files), compression: "none" } as const;
    writeLayout(layout, [
      { name: "example.com/large:1", layers: [{ tar: busyboxLayer(), compression: "gzip" }, large] },
      { name: "example.com/other:1", layers: [{ tar: busyboxLayer(), compression: "zstd" }], architecture: "riscv64" },
    ]);
    await Bun.$`tar -cf ${folder.join("large.tar")} -C ${layout} .`.quiet();
    writeBusyboxImage(folder.join("busybox.tar"), busybox);
    await importImages(client, Bun.file(folder.join("busybox.tar")).stream());
    await importImages(client, Bun.file(folder.join("large.tar")).stream());
  });
  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  async function push(reference: string, image: string): Promise<TransferProgress[]> {
    const steps: TransferProgress[] = [];
    await pushImage(client, reference, { image, plainHttp: true, onProgress: (step) => steps.push(step) });
    return steps;
  }
  const ended = (steps: readonly TransferProgress[]): string[] =>
    steps.filter(({ event }) => event === "complete" || event === "already exists").map(({ event }) => event);

  test("what is pushed is what is here; a second time nothing is sent", async () => {
    const reference = fresh();
    const steps = await push(reference, busybox);
    expect(steps[0]?.event).toBe(`Pushing to OCI Registry (${reference})`);
    expect(steps.at(-1)?.event).toBe(`Completed push to OCI Registry (${reference})`);
    expect(ended(steps)).toEqual(["complete", "complete", "complete"]);
    const inspected = await runProgram(["skopeo", "inspect", "--tls-verify=false", `docker://${reference}`]);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ Os: "linux" });
    expect(ended(await push(reference, busybox))).toEqual(["already exists", "already exists", "already exists"]);
    // Another repository of the same registry takes the blobs over.
    const elsewhere = fresh();
    await push(elsewhere, busybox);
    expect(await raw(elsewhere)).toBe(await raw(reference));
  });

  test("a registry that is killed amid an upload, and started again", async () => {
    const reference = fresh();
    let killed: Promise<void> | undefined;
    let most = 0;
    await pushImage(client, reference, {
      image: "example.com/large:1",
      plainHttp: true,
      onProgress: ({ event, progress }) => {
        if (event !== "uploading" || progress < 30 * MiB) return;
        most = Math.max(most, progress);
        killed ??= registry.kill().then(() => registry.start());
      },
    });
    await killed;
    expect(killed).toBeDefined();
    const copied = await runProgram([
      ...["skopeo", "copy", "--quiet", "--src-tls-verify=false"],
      ...[`docker://${reference}`, `dir:${folder.join("copied")}`],
    ]);
    expect(copied).toMatchObject({ status: 0, stderr: "" });
  });

  test("what isn't here, and what can't be pushed, says why", async () => {
    await expect(push(fresh(), "example.com/none:1")).rejects.toThrow('image "example.com/none:1"');
    await expect(push("127.0.0.1:1/none:1", busybox)).rejects.toThrow("no answer from");
    await expect(push("not a reference", busybox)).rejects.toThrow("malformed");
  });

  test("tag: another name for the same, in place of what was called so", async () => {
    await tagImage(client, busybox, "example.com/tagged:1");
    await tagImage(client, "example.com/large:1", "example.com/tagged:1");
    const { stdout } = await runProgram([
      "ctr",
      "--address",
      daemon.address,
      "images",
      "ls",
      "name==example.com/tagged:1",
    ]);
    const large = await runProgram(["ctr", "--address", daemon.address, "images", "ls", "name==example.com/large:1"]);
    expect(/sha256:[0-9a-f]+/.exec(stdout)?.[0] ?? "").toBe(/sha256:[0-9a-f]+/.exec(large.stdout)?.[0] ?? "-");
    await expect(tagImage(client, "example.com/none:1", "example.com/x:1")).rejects.toThrow("example.com/none:1");
  });

  describe("archives", () => {
    let real: Daemon;
    beforeAll(async () => {
      real = await startContainerd(folder.join("containerd"));
      const made = await runProgram(["ctr", "--address", real.address, "images", "import", folder.join("busybox.tar")]);
      expect(made.status).toBe(0);
    });
    afterAll(() => real[Symbol.asyncDispose]());

    async function exported(names: readonly string[], options = {}): Promise<string> {
      const path = folder.join(`export${number++}.tar`);
      const file = Bun.file(path).writer();
      for await (const bytes of exportImages(client, names, options)) file.write(bytes);
      await file.end();
      return path;
    }

    /** Files of an archive by their names; what newer containerds than Debian's say in the index is left out. */
    async function members(path: string): Promise<Record<string, string>> {
      const into = folder.join(`members${number++}`);
      await Bun.$`mkdir ${into} && tar -xf ${path} -C ${into}`.quiet();
      const names = (await Bun.$`find . -type f -printf '%P %m\n' | sort`.cwd(into).text()).trim().split("\n");
      return Object.fromEntries(
        names.map((name) => {
          const bytes = readFileSync(join(into, name.split(" ")[0] ?? ""));
          const text = bytes.length > MiB / 2 ? String(Bun.hash(bytes)) : bytes.toString("latin1");
          return [
            name,
            text.replace('"mediaType":"application/vnd.oci.image.index.v1+json","manifests"', '"manifests"'),
          ];
        }),
      );
    }

    test("are those of the real containerd", async () => {
      const theirs = folder.join("real.tar");
      await runProgram(["ctr", "--address", real.address, "images", "export", theirs, busybox]);
      expect(await members(await exported([busybox]))).toEqual(await members(theirs));
      await runProgram(["ctr", "--address", real.address, "images", "export", "--skip-manifest-json", theirs, busybox]);
      // containerd writes one without names all the same.
      const { "manifest.json 644": _, ...others } = await members(theirs);
      expect(await members(await exported([busybox], { skipDockerManifest: true }))).toEqual(others);
    });

    test("go to skopeo and the real containerd, and back", async () => {
      const path = await exported(["example.com/large:1"], { platforms: "all" });
      const copied = await runProgram([
        "skopeo",
        "copy",
        "--quiet",
        `oci-archive:${path}:1`,
        `dir:${folder.join("dir")}`,
      ]);
      expect(copied).toMatchObject({ status: 0 });
      const back = await runProgram(["ctr", "--address", real.address, "images", "import", path]);
      expect(back).toMatchObject({ status: 0 });
      const names = await importImages(client.withNamespace("elsewhere"), Bun.file(path).stream());
      expect(names).toEqual(["example.com/large:1"]);
    });

    test("of what isn't here or isn't for this machine are refused before any byte", async () => {
      const path = folder.join("none.tar");
      await expect(exported(["example.com/none:1"])).rejects.toThrow('image "example.com/none:1"');
      const refused = await runProgram(["ctr", "--address", daemon.address, "images", "export", path, "none:1"]);
      expect(refused.stderr).toBe('ctr: image "none:1": not found\n');
    });
  });
});
