import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Container,
  ContainerAdjustment,
  ContainerUpdate,
  CreateContainerResponse,
  Event,
  LinuxResources,
  PodSandbox,
} from "@hull/api/gen/nri/v1alpha1/nri";
import type { PartialOf } from "@hull/api/rpc";
import { HullError, unimplemented } from "@hull/errors";
import { type ByteLink, type LinkReceiver, linkFactory } from "@hull/link";
import { defaultSpec, type Spec } from "@hull/oci/spec";
import fc from "fast-check";
import { silent } from "../log.ts";
import { adjustSpec } from "./adjust-spec.ts";
import { type ConnectedPlugin, idle, type PluginImplementation, servePlugin } from "./fixture.ts";
import { type Nri, type NriHost, type NriOptions, startNri } from "./index.ts";
import { Mux } from "./mux.ts";

const pod = PodSandbox.fromPartial({ id: "p", name: "pod" });
const container = (more: PartialOf<typeof Container> = {}): Container =>
  Container.fromPartial({ id: "c", name: "one", podSandboxId: "p", ...more });
const answer = (adjust: PartialOf<typeof ContainerAdjustment>, update: PartialOf<typeof ContainerUpdate>[] = []) =>
  CreateContainerResponse.fromPartial({ adjust, update });
const limited = (containerId: string, limit: bigint, ignoreFailure = false): ContainerUpdate =>
  ContainerUpdate.fromPartial({
    containerId,
    ignoreFailure,
    linux: { resources: { memory: { limit: { value: limit } } } },
  });
const textOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return "none";
  } catch (error) {
    return HullError.from(error).message;
  }
};
/** Asks until it is true, for up to 20 s. */
const until = async (wished: () => boolean): Promise<void> => {
  for (let i = 0; i < 1000 && !wished(); i++) await Bun.sleep(20);
};

let folder: string;
let nri: Nri;
let connected: ConnectedPlugin[];
let updated: ContainerUpdate[][];
let known: { pods: PodSandbox[]; containers: Container[] };

const host: NriHost = {
  name: "hull",
  version: "1",
  synchronize: (done) => done(known.pods, known.containers),
  update: async (updates) => {
    updated.push(updates);
    return updates.filter(({ containerId }) => containerId === "fails");
  },
};
const socket = (): string => join(folder, "nri.sock");
const start = async (more: Partial<NriOptions> = {}): Promise<void> => {
  const options = {
    socket: socket(),
    plugins: join(folder, "plugins"),
    ...more,
    configs: join(folder, "conf.d"),
    registrationTimeout: 2000,
    requestTimeout: 500,
    log: silent,
  };
  nri = await startNri(options, host);
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hull-nri-"));
  connected = [];
  updated = [];
  known = { pods: [], containers: [] };
});
afterEach(async () => {
  for (const plugin of connected) plugin.close();
  await nri.close();
  rmSync(folder, { recursive: true });
});

/** Connects a plugin and waits until it is taken. */
async function plug(index: string, name: string, parts: Partial<PluginImplementation> = {}): Promise<ConnectedPlugin> {
  const before = nri.plugins().length;
  const link = await (await linkFactory()).connect({ path: socket() });
  const plugin = await servePlugin(link, { index, name }, { ...idle, ...parts });
  connected.push(plugin);
  await until(() => nri.plugins().length > before);
  return plugin;
}

const adjusts = (adjust: PartialOf<typeof ContainerAdjustment>): Partial<PluginImplementation> => ({
  createContainer: async () => answer(adjust),
});

describe("plugins", () => {
  test("are configured, told what there is, and called in the order of their indexes", async () => {
    known = { pods: [pod], containers: [container()] };
    await start();
    const calls: string[] = [];
    const noting = (name: string): Partial<PluginImplementation> => ({
      configure: async ({ runtimeName, requestTimeout }) => {
        calls.push(`${name} configure ${runtimeName} ${requestTimeout}`);
        return { events: 0 };
      },
      synchronize: async ({ pods, containers }) => {
        calls.push(`${name} synchronize ${pods.length} ${containers.length}`);
        return { update: [limited("other", 1n)], more: false };
      },
      runPodSandbox: async () => {
        calls.push(`${name} run`);
        return {};
      },
    });
    await plug("20", "second", noting("second"));
    await plug("10", "first", noting("first"));
    expect(nri.plugins()).toEqual(["10-first", "20-second"]);
    await nri.runPodSandbox(pod);
    expect(calls).toEqual([
      ...["second configure hull 500", "second synchronize 1 1"],
      ...["first configure hull 500", "first synchronize 1 1"],
      ...["first run", "second run"],
    ]);
    expect(updated.map(([update]) => update?.containerId)).toEqual(["other", "other"]);
  });

  test("get the events that they ask for, older ones by one call for all", async () => {
    await start();
    const seen: string[] = [];
    const events = 2 ** (Event.POST_START_CONTAINER - 1) + 2 ** (Event.REMOVE_POD_SANDBOX - 1);
    await plug("10", "old", {
      configure: async () => ({ events }),
      postStartContainer: async () => Promise.reject(unimplemented("postStartContainer")),
      stateChange: async ({ event, container: about }) => {
        seen.push(`change ${event} ${about?.id}`);
        return {};
      },
      removePodSandbox: async () => {
        seen.push("remove");
        return {};
      },
      startContainer: async () => {
        seen.push("start");
        return {};
      },
    });
    await nri.startContainer(pod, container());
    await nri.postStartContainer(pod, container());
    await nri.removePodSandbox(pod);
    expect(seen).toEqual([`change ${Event.POST_START_CONTAINER} c`, "remove"]);
  });

  test("with a bad name, index or mask are not taken", async () => {
    await start();
    const connect = async (index: string, name: string, parts: Partial<PluginImplementation> = {}): Promise<string> => {
      const link = await (await linkFactory()).connect({ path: socket() });
      return await textOf(
        servePlugin(link, { index, name }, { ...idle, ...parts }).then(async (plugin) => {
          await plugin.closed;
          throw new HullError("canceled", "closed");
        }),
      );
    };
    expect(await connect("1", "a")).toBe('invalid plugin index "1", must be 2 digits');
    expect(await connect("ab", "a")).toBe('invalid plugin index "ab" (not [0-9][0-9])');
    expect(await connect("10", "a b")).toBe('invalid plugin name "a b": contains invalid character " "');
    expect(await connect("10", "a", { configure: async () => ({ events: 1 << 20 }) })).toBe("closed");
    expect(nri.plugins()).toEqual([]);
  });

  test("that don't answer in time are left out, errors of others count", async () => {
    await start();
    await plug("10", "slow", { createContainer: () => new Promise(() => {}) });
    await plug("20", "good", adjusts({ env: [{ key: "A", value: "1" }] }));
    const { adjust } = await nri.createContainer(pod, container());
    expect(adjust.env).toEqual([{ key: "A", value: "1" }]);
    expect(nri.plugins()).toEqual(["20-good"]);
    await plug("30", "wrong", { createContainer: async () => Promise.reject(new HullError("internal", "no!")) });
    expect(await textOf(nri.createContainer(pod, container()))).toContain("no!");
    connected[1]?.close();
    await until(() => nri.plugins().length === 1);
    expect(nri.plugins()).toEqual(["30-wrong"]);
  });

  test("may ask for updates at any time", async () => {
    await start();
    const plugin = await plug("10", "a");
    const { failed } = await plugin.update([limited("works", 1n), limited("fails", 1n)]);
    expect(failed.map(({ containerId }) => containerId)).toEqual(["fails"]);
    expect(updated[0]?.map(({ containerId }) => containerId)).toEqual(["works", "fails"]);
  });

  test("are told of much in several messages", async () => {
    const text = "x".repeat(100_000);
    known = { pods: [], containers: Array.from({ length: 100 }, (_, i) => container({ id: `c${i}`, args: [text] })) };
    await start();
    let count = 0;
    let messages = 0;
    await plug("10", "a", {
      synchronize: async ({ containers, more }) => {
        count += containers.length;
        messages++;
        return { update: [], more };
      },
    });
    expect(count).toBe(100);
    expect(messages).toBeGreaterThan(1);
  });

  test("that are installed are started with their configuration, and ended", async () => {
    mkdirSync(join(folder, "plugins"));
    mkdirSync(join(folder, "conf.d"));
    const program = join(folder, "plugins", "10-sample");
    writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${join(import.meta.dir, "sample-plugin.ts")}\n`);
    chmodSync(program, 0o755);
    writeFileSync(join(folder, "plugins", "20-no-program"), "");
    writeFileSync(join(folder, "conf.d", "sample.conf"), join(folder, "noted"));
    await start();
    expect(nri.plugins()).toEqual(["10-sample"]);
    const { adjust } = await nri.createContainer(pod, container());
    expect(adjust.env).toEqual([{ key: "SAMPLE", value: "sample" }]);
    await nri.removeContainer(pod, container());
    const noted = ["configure hull", "synchronize 0 0", "create pod one", "remove one", ""];
    expect(readFileSync(join(folder, "noted"), "utf8").split("\n")).toEqual(noted);
    await nri.close();
    writeFileSync(join(folder, "plugins", "nonumber"), "", { mode: 0o755 });
    expect(await textOf(start())).toBe('invalid plugin name "nonumber", idx-pluginname expected');
  });
});

describe("what plugins want of a new container", () => {
  test("is merged; each sees what those before it changed", async () => {
    await start();
    const seen: Container[] = [];
    await plug(
      "10",
      "a",
      adjusts({ annotations: { k: "v" }, args: ["x"], mounts: [{ destination: "/m", source: "/1" }] }),
    );
    await plug("20", "b", {
      createContainer: async ({ container: about }) => {
        if (about !== undefined) seen.push(about);
        return answer({
          annotations: { "-old": "", other: "w" },
          mounts: [{ destination: "-/m" }, { destination: "/m", source: "/2" }],
          env: [{ key: "E", value: "2" }],
          linux: { resources: { cpu: { shares: { value: 5n } } }, sysctl: { a: "b" } },
          hooks: { poststop: [{ path: "/bin/x" }] },
        });
      },
    });
    const { adjust } = await nri.createContainer(pod, container({ env: ["E=1"], annotations: { old: "o" } }));
    expect(seen[0]).toMatchObject({ annotations: { k: "v" }, args: ["x"], mounts: [{ source: "/1" }] });
    expect(adjust).toMatchObject({
      annotations: { k: "v", other: "w", "-old": "" },
      args: ["x"],
      mounts: [{ destination: "/m", source: "/2" }],
      env: [{ key: "E", value: "2" }],
      linux: { resources: { cpu: { shares: { value: 5n } } }, sysctl: { a: "b" } },
      hooks: { poststop: [{ path: "/bin/x" }] },
    });
  });

  test("conflicts are errors that name the plugins, in containerd's words", async () => {
    await start();
    const cases: [PartialOf<typeof ContainerAdjustment>, string][] = [
      [{ annotations: { k: "v" } }, "Annotations k"],
      [{ mounts: [{ destination: "/m" }] }, "Mounts /m"],
      [{ env: [{ key: "E", value: "1" }] }, "Env E"],
      [{ args: ["x"] }, "Args "],
      [{ rlimits: [{ type: "RLIMIT_NOFILE" }] }, "Rlimits RLIMIT_NOFILE"],
      [{ CDIDevices: [{ name: "a/b=c" }] }, "CdiDevices a/b=c"],
      [{ linux: { devices: [{ path: "/dev/x" }] } }, "Devices /dev/x"],
      [{ linux: { resources: { memory: { limit: { value: 1n } } } } }, "MemLimit "],
      [{ linux: { resources: { unified: { a: "b" } } } }, "CgroupsUnified a"],
      [{ linux: { cgroupsPath: "/x" } }, "CgroupsPath "],
      [{ linux: { oomScoreAdj: { value: 0n } } }, "OomScoreAdj "],
      [{ linux: { namespaces: [{ type: "uts" }] } }, "Namespace uts"],
      [{ linux: { rdt: { closId: { value: "x" } } } }, "RdtClosID "],
    ];
    let adjust: PartialOf<typeof ContainerAdjustment> = {};
    const current = { createContainer: async () => answer(adjust) };
    await plug("10", "a", current);
    await plug("20", "b", current);
    for (const [wanted, what] of cases) {
      adjust = wanted;
      expect(await textOf(nri.createContainer(pod, container()))).toBe(
        `plugins "20-b" and "10-a" both tried to set ${what}`,
      );
    }
    adjust = { hooks: { prestart: [{ path: "/x" }] } };
    expect((await nri.createContainer(pod, container())).adjust.hooks?.prestart).toHaveLength(2);
  });

  test("updates of others come with it; one of the container itself does not", async () => {
    await start();
    await plug("10", "a", { createContainer: async () => answer({}, [limited("other", 1n)]) });
    expect((await nri.createContainer(pod, container())).updates).toHaveLength(1);
    await plug("20", "b", { createContainer: async () => answer({}, [limited("c", 1n)]) });
    expect(await textOf(nri.createContainer(pod, container()))).toBe(
      'plugin "20-b" asked update of "c" during creation',
    );
  });

  test("those that validate see who wanted what, and can reject it", async () => {
    await start();
    let owner: unknown;
    let reject = false;
    await plug("10", "a", adjusts({ annotations: { k: "v" } }));
    await plug("20", "v", {
      configure: async () => ({ events: 1 << (Event.VALIDATE_CONTAINER_ADJUSTMENT - 1) }),
      validateContainerAdjustment: async ({ owners, plugins, adjust }) => {
        owner = { plugins, adjusted: adjust?.annotations, owners: owners?.owners.c?.compound[1]?.owners };
        return { reject, reason: "because" };
      },
    });
    await nri.createContainer(pod, container());
    expect(owner).toEqual({
      plugins: [
        { name: "a", index: "10" },
        { name: "v", index: "20" },
      ],
      adjusted: { k: "v" },
      owners: { k: "10-a" },
    });
    reject = true;
    expect(await textOf(nri.createContainer(pod, container()))).toBe(
      'validator "20-v" rejected container adjustment, reason: because',
    );
  });

  test("the rules of the configuration reject it before", async () => {
    const no = { rejectHooks: false, rejectNamespaces: false, rejectSysctls: true, rejectCustomSeccomp: false };
    const rest = { rejectRuntimeDefaultSeccomp: false, rejectUnconfinedSeccomp: false };
    await start({ rules: { ...no, ...rest, requiredPlugins: [], tolerateMissingAnnotation: "" } });
    await plug("10", "a", adjusts({ linux: { sysctl: { "net.x": "1" } } }));
    expect(await textOf(nri.createContainer(pod, container()))).toContain(
      "restricted sysctl adjustment by plugin(s) 10-a",
    );
  });
});

test("updates: plugins change what a container is updated to, and others with it", async () => {
  await start();
  const shares = (value: bigint): PartialOf<typeof ContainerUpdate> => ({
    containerId: "c",
    linux: { resources: { cpu: { shares: { value } } } },
  });
  const seen: (bigint | undefined)[] = [];
  const updating = (...updates: PartialOf<typeof ContainerUpdate>[]): Partial<PluginImplementation> => ({
    updateContainer: async ({ linuxResources }) => {
      seen.push(linuxResources?.cpu?.shares?.value);
      return { update: updates.map((update) => ContainerUpdate.fromPartial(update)), evict: [] };
    },
    stopContainer: async () => ({ update: [limited("other", 3n)] }),
  });
  await plug("10", "a", updating(shares(2n), limited("other", 1n)));
  await plug("20", "b", updating(limited("other", 2n, true)));
  const wanted = LinuxResources.fromPartial({ cpu: { shares: { value: 1n }, quota: { value: 9n } } });
  const { resources, updates } = await nri.updateContainer(pod, container(), wanted);
  expect(seen).toEqual([1n, 2n]);
  expect(resources.cpu).toMatchObject({ shares: { value: 2n }, quota: { value: 9n } });
  expect(updates).toEqual(
    [limited("other", 1n)].map((one) => expect.objectContaining({ containerId: one.containerId })),
  );
  expect(updates[0]?.linux?.resources?.memory?.limit?.value).toBe(1n);
  expect(await textOf(nri.stopContainer(pod, container()))).toContain("both tried to set MemLimit");
});

test("a spec gets what plugins want", async () => {
  const before: Spec = {
    ...defaultSpec({ namespace: "n", id: "i" }),
    annotations: { old: "1", keep: "1" },
  };
  before.process.env = ["A=1", "B=2"];
  const adjust = ContainerAdjustment.fromPartial({
    annotations: { "-old": "", fresh: "2" },
    env: [{ key: "-B" }, { key: "A", value: "x" }, { key: "C", value: "3" }],
    args: ["run"],
    mounts: [{ destination: "-/run" }, { destination: "/a/b/c", source: "/s", type: "bind", options: ["rshared"] }],
    hooks: { createRuntime: [{ path: "/h", timeout: { value: 3n } }] },
    rlimits: [{ type: "RLIMIT_NOFILE", hard: 5n, soft: 4n }],
    CDIDevices: [{ name: "a.b/c=d" }],
    linux: {
      devices: [{ path: "/dev/x", type: "c", major: 1n, minor: 2n }],
      resources: {
        memory: { limit: { value: 100n } },
        cpu: { cpus: "0" },
        pids: { limit: 7n },
        rdtClass: { value: "gold" },
      },
      cgroupsPath: "/p",
      oomScoreAdj: { value: -5n },
      ioPriority: { class: 1, priority: 3 },
      namespaces: [{ type: "-ipc" }, { type: "network", path: "/n" }],
      sysctl: { "net.x": "1" },
      memoryPolicy: { mode: 2, nodes: "0", flags: [0] },
    },
  });
  const spec = await adjustSpec(before, adjust, {
    injectDevices: async (given, names) => ({ ...given, hostname: names.join() }),
    blockIoClass: async () => ({}),
    rdtClass: async (closID) => ({ closID }),
    checkPropagation: async () => {},
  });
  expect(spec).toMatchObject({
    hostname: "a.b/c=d",
    annotations: { keep: "1", fresh: "2" },
    hooks: { createRuntime: [{ path: "/h", timeout: 3 }] },
    process: {
      env: ["A=x", "C=3"],
      args: ["run"],
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 5, soft: 4 }],
      oomScoreAdj: -5,
      ioPriority: { class: "IOPRIO_CLASS_RT", priority: 3 },
    },
    linux: {
      cgroupsPath: "/p",
      intelRdt: { closID: "gold" },
      sysctl: { "net.x": "1" },
      rootfsPropagation: "rshared",
      memoryPolicy: { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] },
      devices: [{ path: "/dev/x", type: "c", major: 1, minor: 2 }],
    },
  });
  expect(spec.annotations).not.toHaveProperty("old");
  expect(spec.linux.resources).toMatchObject({
    memory: { limit: 100, swap: 100 },
    cpu: { cpus: "0" },
    pids: { limit: 7 },
  });
  expect(spec.linux.namespaces?.map(({ type }) => type)).toEqual(["pid", "uts", "mount", "network"]);
  expect(spec.mounts.map(({ destination }) => destination)).not.toContain("/run");
  expect(spec.mounts.at(-1)?.destination).toBe("/a/b/c");
});

describe("channels in one connection", () => {
  /** A link that keeps what is written, and is given what it reads. */
  function tape(): { link: ByteLink; written: Uint8Array[]; receiver: () => LinkReceiver | undefined } {
    const written: Uint8Array[] = [];
    let receiver: LinkReceiver | undefined;
    const take = (bytes: Uint8Array): boolean => written.push(bytes.slice()) > 0;
    const nothing = (): void => {};
    const link: ByteLink = {
      start: (given) => {
        receiver = given;
      },
      write: take,
      writeLent: take,
      drained: async () => {},
      pause: nothing,
      resume: nothing,
      close: nothing,
      destroy: () => receiver?.closed(),
    };
    return { link, written, receiver: () => receiver };
  }

  test("what is written to one comes out of the same, however it is cut", () => {
    const messages = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 9000 })), { maxLength: 6 });
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 5000 }), (sent, cut) => {
        const out = tape();
        const sender = new Mux(out.link);
        const ends = new Map([1, 2].map((id) => [id, sender.open(id)]));
        for (const [id, bytes] of sent) ends.get(id)?.write(bytes);
        const stream = Buffer.concat(out.written);
        const into = tape();
        const reader = new Mux(into.link);
        const got = new Map<number, Buffer>([1, 2].map((id) => [id, Buffer.alloc(0)]));
        for (const id of [1, 2])
          reader.open(id).start({
            data: (chunk) => void got.set(id, Buffer.concat([got.get(id) ?? Buffer.alloc(0), chunk])),
            closed: () => {},
          });
        reader.start();
        for (let at = 0; at < stream.length; at += cut) into.receiver()?.data(stream.subarray(at, at + cut));
        for (const id of [1, 2])
          expect(got.get(id)).toEqual(Buffer.concat(sent.filter(([to]) => to === id).map(([, bytes]) => bytes)));
      }),
      { numRuns: 50 },
    );
  });

  test("any bytes are read without harm; a piece that is too long ends it", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
        const into = tape();
        const reader = new Mux(into.link);
        reader.open(1).start({ data: () => {}, closed: () => {} });
        reader.start();
        for (const chunk of chunks) into.receiver()?.data(chunk);
      }),
    );
    const into = tape();
    const reader = new Mux(into.link);
    let ended: unknown;
    reader.open(1).start({
      data: () => {},
      closed: (cause) => {
        ended = cause;
      },
    });
    reader.start();
    into.receiver()?.data(Uint8Array.of(0, 0, 0, 1, 0xff, 0, 0, 0));
    expect(String(ended)).toContain("longer than");
  });
});
