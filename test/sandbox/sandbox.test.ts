/** The sandbox for programs that nobody trusts, on hull's daemon, on an engine in the program, on the real containerd, and under Node. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, createReadStream, existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Hull } from "@hull/client";
import { Engine } from "@hull/embed";
import { mountInfo } from "@hull/sys/mount";
import { which } from "@hull/sys/program";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { noContainerd, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { node } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { type Case, cases } from "./cases.ts";

const lacking = noContainerd;
const runc = '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n';
const cni = ["/opt/cni/bin/bridge", "/usr/lib/cni/bridge"].some(existsSync);

/** Ways to a Hull, each on folders of its own. */
const ways: readonly {
  name: string;
  open: (folder: Scratch, namespace: string, stack: AsyncDisposableStack) => Promise<Hull>;
  lacks?: readonly Case["needs"][];
}[] = [
  {
    name: "hull's daemon",
    async open(folder, namespace, stack) {
      const { address } = stack.use(await startHull(folder.path, runc));
      return stack.use(await connect({ address, namespace }));
    },
  },
  {
    name: "an engine in the program",
    async open(folder, namespace, stack) {
      const plugins = { "io.containerd.runtime.v2.task": { oci_runtime: "runc" } };
      const place = { root: folder.join("root"), state: folder.join("state") };
      return stack.use(await Engine.open({ ...place, namespace, containers: "end", plugins }));
    },
  },
  {
    name: "the real containerd",
    async open(folder, namespace, stack) {
      const { address } = stack.use(await startContainerd(folder.path));
      return stack.use(await connect({ address, namespace }));
    },
    // Its shims are not hull's, and Debian has none of gVisor's; nor does 1.6 map ids.
    lacks: ["gVisor", "user namespaces"],
  },
];

const missing = ({ needs }: Case, lacks: readonly Case["needs"][] = []): string | undefined => {
  if (needs === undefined) return undefined;
  if (lacks.includes(needs)) return `this daemon has no ${needs}`;
  if (needs === "gVisor" && which("runsc") === null) return "needs Debian's runsc";
  if (needs === "network" && (!cni || which("nft") === null)) return "needs CNI's plugins and nftables";
  return undefined;
};

for (const { name, open, lacks = [] } of ways) {
  const suite = lacking === undefined ? describe : describe.skip;
  suite(`sandboxes on ${name}${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
    const stack = new AsyncDisposableStack();
    const namespace = `sandbox-${crypto.randomUUID().slice(0, 8)}`;
    let folder: Scratch;
    let hull: Hull;
    let before: Leftovers;
    beforeAll(async () => {
      folder = stack.use(scratch());
      // Whoever is in a user namespace has to reach its root file system.
      chmodSync(folder.path, 0o711);
      const { TMPDIR } = process.env;
      stack.defer(() => {
        if (TMPDIR === undefined) delete process.env.TMPDIR;
        else process.env.TMPDIR = TMPDIR;
      });
      process.env.TMPDIR = folder.path;
      writeBusyboxImage(folder.join("busybox.tar"), "docker.io/library/busybox:latest");
      hull = await open(folder, namespace, stack);
      await hull.images.import(createReadStream(folder.join("busybox.tar")));
      before = leftovers(namespace, folder.path);
    });
    afterEach(async () => {
      expect(leftovers(namespace, folder.path)).toEqual(before);
      expect(await hull.containers.list()).toEqual([]);
    });
    afterAll(async () => {
      await stack.disposeAsync();
      removeLeftovers(namespace);
    });
    for (const one of cases) {
      const lack = missing(one, lacks);
      test.skipIf(lack !== undefined)(one.name + (lack === undefined ? "" : ` (skipped: ${lack})`), () =>
        one.run(hull),
      );
    }
  });
}

describe("sandboxes and programs that end", () => {
  const lack = lacking ?? (node === undefined ? "needs Node 24 or later" : undefined);
  test.skipIf(lack !== undefined)(`under Node${lack === undefined ? "" : ` (skipped: ${lack})`}`, async () => {
    await using place = await daemonWithImage();
    const names = cases.slice(0, 4).map((one) => one.name);
    const argv = [node ?? "", join(import.meta.dir, "run.ts"), place.address, place.namespace, ...names];
    const { status, stdout, stderr } = await runProgram(argv, { env: { NODE_NO_WARNINGS: "1" } });
    const results = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect({ status, stderr, results }).toEqual({ status: 0, stderr: "", results: names.map((name) => ({ name })) });
  });

  test.skipIf(lacking !== undefined)(
    "the next sandbox takes away what a killed program left, when its time is up",
    async () => {
      await using place = await daemonWithImage();
      const started = place.hull.sandbox("busybox", { command: ["sleep", "1000"], timeMs: 600_000 }).catch(() => {});
      const [container] = await eventually(async () => {
        const list = await place.hull.containers.list();
        return list.length > 0 && (await list[0]?.state())?.status === "running" ? list : undefined;
      });
      // Of a program that is gone long since.
      const { ContainersDefinition } = await import("@hull/api/gen/containerd/services/containers/v1/containers");
      await place.hull.api.service(ContainersDefinition).update({
        container: { id: container?.id ?? "", labels: { "hull.sandbox/deadline": "1" } },
        updateMask: ["labels.hull.sandbox/deadline"],
      });
      const { stdout } = await new Promise<{ stdout: string }>((resolve, reject) => {
        const script = [
          'import { connect } from "@hull/client";',
          `await using hull = await connect(${JSON.stringify({ address: place.address, namespace: place.namespace })});`,
          'console.log((await hull.sandbox("busybox", { command: ["echo", "next"] })).stdout);',
        ].join("\n");
        runProgram([process.execPath, "-e", script], {}).then(resolve, reject);
      });
      expect(stdout.trim()).toBe("next");
      expect(await place.hull.containers.list()).toEqual([]);
      await started;
      expect(readdirSync(tmpdir()).filter((name) => name === `hull-sandbox-${container?.id}`)).toEqual([]);
    },
  );
});

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + 60_000; Date.now() < end; ) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("it did not come");
}

async function daemonWithImage(): Promise<AsyncDisposable & { hull: Hull; address: string; namespace: string }> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(scratch());
  chmodSync(folder.path, 0o711);
  writeBusyboxImage(folder.join("busybox.tar"), "docker.io/library/busybox:latest");
  const namespace = `sandbox-${crypto.randomUUID().slice(0, 8)}`;
  stack.defer(() => removeLeftovers(namespace));
  const { address } = stack.use(await startHull(folder.join("hull"), runc));
  const hull = stack.use(await connect({ address, namespace }));
  await hull.images.import(createReadStream(folder.join("busybox.tar")));
  const kept = stack.move();
  return { hull, address, namespace, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

interface Leftovers {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
  readonly files: readonly string[];
  readonly loops: readonly string[];
}

/** What a sandbox could leave on this machine, as far as it is of this namespace or below this folder. */
function leftovers(namespace: string, folder: string): Leftovers {
  const hierarchies = readdirSync("/sys/fs/cgroup").map((name) => join("/sys/fs/cgroup", name, namespace));
  const groups = [join("/sys/fs/cgroup", namespace), ...hierarchies].filter(existsSync);
  return {
    mounts: mountInfo()
      .map(({ target }) => target)
      .filter((target) => target.startsWith(`${folder}/`)),
    cgroups: groups.flatMap((path) =>
      readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])),
    ),
    processes: readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isOf(name, namespace)),
    files: readdirSync(folder).filter((name) => name.startsWith("hull-")),
    loops: readdirSync("/sys/block").filter((name) => backingOf(name).startsWith(folder)),
  };
}

function isOf(pid: string, namespace: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`/${namespace}/`);
  } catch {
    return false; // gone
  }
}

function backingOf(device: string): string {
  try {
    return readFileSync(`/sys/block/${device}/loop/backing_file`, "utf8");
  } catch {
    return "";
  }
}
