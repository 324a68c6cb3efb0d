/** `ctr run --cni`: hull's and the real one, each with Debian's plugins in a network namespace of its own. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeBusyboxImage } from "../../scripts/image.ts";
import type { Daemon } from "../support/containerd.ts";
import { hullCommand, startHull } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(120_000);

const image = "docker.io/library/busybox:latest";
const plugins = ["/usr/lib/cni", "/opt/cni/bin"].find((directory) => existsSync(join(directory, "ptp")));
const why = process.getuid?.() !== 0 ? "needs root" : plugins === undefined ? "needs CNI's plugins" : undefined;
const suite = why === undefined ? describe : describe.skip;

suite(`hull ctr run --cni${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  let folder: Scratch;
  let daemon: Daemon;
  const namespace = `cni-${process.pid}`;

  beforeAll(async () => {
    folder = scratch();
    daemon = await startHull(folder.join("hull"));
    writeBusyboxImage(folder.join("busybox.tar"), image);
    expect(await ctr("", ["images", "import", folder.join("busybox.tar")])).toMatchObject({ stderr: "", status: 0 });
    const ipam = { type: "host-local", dataDir: folder.join("ipam"), ranges: [[{ subnet: "10.79.0.0/24" }]] };
    const network = { cniVersion: "1.0.0", name: namespace, plugins: [{ type: "ptp", ipam }] };
    mkdirSync(folder.join("net.d"));
    writeFileSync(folder.join("net.d/10-test.conflist"), JSON.stringify(network));
    mkdirSync(folder.join("empty.d"));
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
    removeLeftovers(namespace);
  });

  /** The veths' outer ends come to be, and end, in the namespace of the client. */
  function ctr(directory: string, ...commands: string[][]): Promise<Outcome> {
    const lines = commands.map((args) =>
      [...hullCommand, "ctr", "--address", daemon.address, "-n", namespace, ...args]
        .map((word) => `'${word.replaceAll("'", "'\\''")}'`)
        .join(" "),
    );
    const env = { NETCONFPATH: folder.join(directory), CNI_PATH: plugins ?? "" };
    return runProgram(["unshare", "-n", "sh", "-c", lines.join("\n")], { env: { ...process.env, ...env } });
  }
  const leases = (): string[] => readdirSync(folder.join("ipam", namespace)).filter((file) => file.startsWith("10."));
  const results = (): string[] => readdirSync("/var/lib/cni/results").filter((file) => file.startsWith(namespace));

  test("it has the network's address, which is free again when it has ended", async () => {
    const { stdout, stderr, status } = await ctr("net.d", ["run", "--rm", "--cni", image, "one", "ip", "-4", "addr"]);
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    expect(stdout).toContain("inet 10.79.0.2/24");
    expect(stdout).toContain("eth0");
    expect([leases(), results()]).toEqual([[], []]);
  });

  test("one left in the background is marked, and taken off by deleting its task", async () => {
    const made = await ctr("net.d", ["run", "-d", "--cni", image, "two", "sleep", "1000"]);
    expect(made).toMatchObject({ stderr: "", status: 0 });
    expect([leases().length, results()]).toEqual([1, [`${namespace}-${namespace}-two-eth0`]]);
    const { stdout } = await ctr("net.d", ["containers", "info", "two"]);
    const { Extensions: extensions } = JSON.parse(stdout);
    // As ctr 2.1.9 writes it.
    expect(extensions).toEqual({
      "ctr.cni-containerd.metadata": {
        type_url: "github.com/containerd/containerd/v2/cmd/ctr/commands/NetworkMetaData",
        value: Buffer.from('{"EnableCni":true}').toString("base64"),
      },
    });
    await ctr("net.d", ["tasks", "rm", "-f", "two"], ["containers", "rm", "two"]);
    expect([leases(), results()]).toEqual([[], []]);
  });

  test("without a network there is no container", async () => {
    const { stderr, status } = await ctr("empty.d", ["run", "--rm", "--cni", image, "three", "true"]);
    expect({ stderr, status }).toEqual({
      stderr: `ctr: no network config found in ${folder.join("empty.d")}: cni plugin not initialized: failed to load cni config\n`,
      status: 1,
    });
    expect((await ctr("", ["containers", "ls", "-q"])).stdout).toBe("");
  });

  test("a network that fails leaves nothing", async () => {
    const network = { cniVersion: "1.0.0", name: namespace, plugins: [{ type: "not-there" }] };
    writeFileSync(folder.join("empty.d/10-bad.conflist"), JSON.stringify(network));
    const { stderr, status } = await ctr("empty.d", ["run", "--rm", "--cni", image, "four", "true"]);
    expect(stderr).toContain('failed to find plugin "not-there" in path');
    expect(status).toBe(1);
    expect((await ctr("", ["tasks", "ls", "-q"], ["containers", "ls", "-q"])).stdout).toBe("");
  });
});
