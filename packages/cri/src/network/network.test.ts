import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PodSandboxConfig, Protocol } from "@hull/api/gen/cri/v1/cri";
import { Cni, parseNetwork, parseResult } from "@hull/cni";
import { silent } from "@hull/engine/log";
import fc from "fast-check";
import { runtimeTable } from "../config.ts";
import { cniCapabilities } from "./arguments.ts";
import { CniPodNetworks } from "./cni.ts";
import { parseQuantity } from "./quantity.ts";
import { goCniResult, selectAddresses } from "./result.ts";

function temporary(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), "hull-network-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function networksIn(folder: string, more: object = {}, handlers: object = {}): CniPodNetworks {
  const cni = { conf_dir: join(folder, "conf"), bin_dirs: [join(folder, "bin")], ...more };
  const config = runtimeTable.parse({ cni, containerd: { runtimes: handlers } });
  const directories = { cacheDirectory: join(folder, "cache"), sharedCacheDirectory: join(folder, "shared") };
  return new CniPodNetworks({ config, ...directories, log: silent });
}

const list = (more: object = {}) =>
  JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins: [{ type: "p" }], ...more });

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await Bun.sleep(5);
}

describe("readiness", () => {
  test("follows the directory: none, one, a broken one, gone, made again", async () => {
    using folder = temporary();
    const networks = networksIn(folder.path, { max_conf_num: 1 });
    const conf = join(folder.path, "conf");
    networks.start();
    try {
      expect(await networks.ready()).toBe("cni plugin not initialized");
      expect(networks.loadStatus()).toEqual({
        default: `cni config load failed: no network config found in ${conf}: cni plugin not initialized: failed to load cni config`,
      });
      writeFileSync(join(conf, "10.conflist"), list());
      await until(async () => (await networks.ready()) === undefined);
      expect(networks.loadStatus()).toEqual({ default: "OK" });
      expect(networks.describe()).toMatchObject({ Networks: [{ Config: { Name: "net" }, IFName: "eth0" }] });
      writeFileSync(join(conf, "05.conf"), "{");
      await until(async () => (await networks.ready()) !== undefined);
      expect(networks.loadStatus().default).toContain("05.conf");
      rmSync(conf, { recursive: true });
      await until(() => networks.loadStatus().default?.includes("no network config found") === true);
      writeFileSync(join(conf, "10.conflist"), list());
      await until(async () => (await networks.ready()) === undefined);
    } finally {
      networks.close();
    }
  });

  test("asks networks of version 1.1, and handlers have networks of their own", async () => {
    using folder = temporary();
    for (const name of ["conf", "bin", "other"]) mkdirSync(join(folder.path, name));
    const program =
      '#!/bin/sh\n[ "$CNI_COMMAND" = STATUS ] && { echo \'{"code":50,"msg":"no addresses left"}\'; exit 1; }\nexit 0\n';
    writeFileSync(join(folder.path, "bin", "p"), program, { mode: 0o755 });
    writeFileSync(join(folder.path, "conf", "10.conflist"), list({ cniVersion: "1.1.0" }));
    const networks = networksIn(folder.path, {}, { runc: {}, kata: { cni_conf_dir: join(folder.path, "other") } });
    networks.start();
    try {
      expect(await networks.ready()).toBe('plugin type="p" failed (status): no addresses left');
      expect(networks.loadStatus().kata).toContain("no network config found");
      const pod = { id: "a", config: PodSandboxConfig.fromPartial({}), netns: "/n" };
      await expect(networks.add({ ...pod, runtimeHandler: "kata" })).rejects.toThrow("cni plugin not initialized");
    } finally {
      networks.close();
    }
  });

  test("a template makes the network where there is none, once", async () => {
    using folder = temporary();
    const template = join(folder.path, "template");
    writeFileSync(
      template,
      '{"cniVersion":"1.0.0","name":"t","plugins":[{"type":"p","ranges":[{{range $i, $r := .PodCIDRRanges}}{{if $i}},{{end}}[{"subnet":"{{$r}}"}]{{end}}]}]}',
    );
    const networks = networksIn(folder.path, { conf_template: template });
    networks.start();
    try {
      await networks.configure("");
      await expect(networks.configure("10.0.0.0/33")).rejects.toThrow("get routes: invalid CIDR address: 10.0.0.0/33");
      await networks.configure("10.0.0.0/24, fd00::/64");
      await until(async () => (await networks.ready()) === undefined);
      const path = join(folder.path, "conf", "10-containerd-net.conflist");
      const written = readFileSync(path, "utf8");
      expect(JSON.parse(written).plugins[0].ranges).toEqual([[{ subnet: "10.0.0.0/24" }], [{ subnet: "fd00::/64" }]]);
      await networks.configure("10.9.0.0/24");
      expect(readFileSync(path, "utf8")).toBe(written);
    } finally {
      networks.close();
    }
  });
});

test("what belongs to no pod is collected, but not what others have in a namespace that is there", async () => {
  using folder = temporary();
  for (const name of ["conf", "bin"]) mkdirSync(join(folder.path, name));
  const calls = join(folder.path, "calls");
  const answer =
    '{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/n"}],"ips":[{"address":"10.0.0.2/24","interface":0}]}';
  const program = `#!/bin/sh\necho "$CNI_COMMAND|$CNI_CONTAINERID|$(cat)" >>${calls}\n[ $CNI_COMMAND = ADD ] && echo '${answer}'\nexit 0\n`;
  writeFileSync(join(folder.path, "bin", "p"), program, { mode: 0o755 });
  const text = list({ cniVersion: "1.1.0" });
  writeFileSync(join(folder.path, "conf", "10.conflist"), text);
  const networks = networksIn(folder.path);
  networks.start();
  try {
    const config = PodSandboxConfig.fromPartial({});
    for (const id of ["kept", "gone"]) await networks.add({ id, config, netns: "/n", runtimeHandler: "" });
    const others = new Cni({
      pluginDirectories: [join(folder.path, "bin")],
      cacheDirectory: join(folder.path, "shared"),
    });
    for (const [containerId, netns] of [
      ["theirs", "/proc/self/ns/net"],
      ["dead", "/n"],
    ] as const)
      await others.add(parseNetwork(text, "x"), { containerId, netns, interfaceName: "eth0" });
    rmSync(calls);
    await networks.collect(new Set(["kept"]));
  } finally {
    networks.close();
  }
  const [deleted = "", collected = "", ...more] = readFileSync(calls, "utf8").trim().split("\n");
  expect(more).toEqual([]);
  expect(deleted).toStartWith("DEL|gone|");
  expect(collected).toStartWith("GC||");
  expect(JSON.parse(collected.slice(4))["cni.dev/valid-attachments"]).toEqual([
    { containerID: "kept", ifname: "eth0" },
    { containerID: "theirs", ifname: "eth0" },
  ]);
});

describe("what plugins are told", () => {
  test("ports with a host's, names as written, bandwidth, cgroup", () => {
    const config = PodSandboxConfig.fromPartial({
      annotations: { "kubernetes.io/ingress-bandwidth": "10M", other: "x" },
      portMappings: [
        { protocol: Protocol.SCTP, containerPort: 1, hostPort: 2, hostIp: "1.2.3.4" },
        { containerPort: 3 },
      ],
      dnsConfig: { servers: ["1.1.1.1"] },
      linux: { cgroupParent: "/kubepods" },
    });
    expect(cniCapabilities(config)).toEqual({
      "io.kubernetes.cri.pod-annotations": config.annotations,
      portMappings: [{ hostPort: 2, containerPort: 1, protocol: "sctp", hostIP: "1.2.3.4" }],
      bandwidth: { ingressRate: 10_000_000, ingressBurst: 4294967295, egressRate: 0, egressBurst: 0 },
      dns: { servers: ["1.1.1.1"], searches: [], options: [] },
      cgroupPath: "/kubepods",
    });
  });

  const wrong: readonly [string, string][] = [
    ["999", "resource is unreasonably small (< 1kbit)"],
    ["2P", "resource is unreasonably large (> 1Pbit)"],
    ["fast", "quantities must match the regular expression"],
  ];
  for (const [text, why] of wrong)
    test(`a bandwidth of ${text} is refused`, () => {
      const annotations = { "kubernetes.io/egress-bandwidth": text };
      expect(() => cniCapabilities(PodSandboxConfig.fromPartial({ annotations }))).toThrow(
        `get cni namespace options: reading pod bandwidth annotations: ${why}`,
      );
    });

  test("quantities", () => {
    const cases: readonly [string, bigint][] = [
      ["1", 1n],
      ["10M", 10_000_000n],
      ["1.5Gi", 1610612736n],
      ["2e3", 2000n],
      ["1E", 10n ** 18n],
      ["100m", 1n],
      ["-1.5", -2n],
      [".5k", 500n],
    ];
    for (const [text, value] of cases) expect(parseQuantity(text)).toBe(value);
    for (const text of ["", "k", "1kk", "1 k", "."]) expect(() => parseQuantity(text)).toThrow("quantities must match");
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n }), (value) =>
        expect(parseQuantity(`${value}k`)).toBe(value * 1000n),
      ),
    );
  });
});

describe("addresses", () => {
  const result = parseResult({
    cniVersion: "1.0.0",
    interfaces: [{ name: "cni0" }, { name: "eth0", sandbox: "/n" }],
    ips: [
      { address: "fd00::5/64", interface: 1 },
      { address: "10.0.0.5/24", gateway: "10.0.0.1", interface: 1 },
      { address: "10.0.1.5/24", interface: 1 },
      { address: "10.0.9.9/24", interface: 0 },
    ],
  });
  const cases: readonly [string, string, string[]][] = [
    ["", "10.0.0.5", ["fd00::5", "10.0.1.5"]],
    ["ipv4", "10.0.0.5", ["fd00::5", "10.0.1.5"]],
    ["ipv6", "fd00::5", ["10.0.0.5", "10.0.1.5"]],
    ["cni", "fd00::5", ["10.0.0.5", "10.0.1.5"]],
  ];
  for (const [preference, ip, additionalIps] of cases)
    test(`with the preference "${preference}"`, () =>
      expect(selectAddresses("p", goCniResult("/n", [result]), preference)).toEqual({ ip, additionalIps }));

  test("none on eth0 is an error", () => {
    expect(() => selectAddresses("p", goCniResult("/n", [parseResult({})]), "")).toThrow(
      'failed to find network info for sandbox "p"',
    );
  });
});
