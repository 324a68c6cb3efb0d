import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type Attachment, Cni } from "./cni.ts";
import { findNetwork, loadNetworks, parseNetwork } from "./network.ts";
import { CniError } from "./plugin.ts";
import { addressesOf, parseResult } from "./result.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hull-cni-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A plugin that writes down how it was called, and answers with what its configuration says. */
function plugin(name: string): void {
  const script = `#!/bin/sh
config=$(cat)
printf '%s|%s|%s|%s|%s|%s|%s\\n' "${name}" "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$config" >>"${join(folder, "calls")}"
case "$config" in *'"fails":"'$CNI_COMMAND'"'*) printf '{"cniVersion":"1.0.0","code":11,"msg":"not now","details":"ask later"}'; exit 1;; esac
[ "$CNI_COMMAND" = ADD ] && printf '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/n"}],"ips":[{"address":"10.1.0.2/16","gateway":"10.1.0.1","interface":0}],"by":"${name}"}'
exit 0
`;
  writeFileSync(join(folder, name), script);
  chmodSync(join(folder, name), 0o755);
}

interface Called {
  plugin: string;
  command: string;
  id: string;
  netns: string;
  name: string;
  args: string;
  config: Record<string, unknown>;
}

function calls(): Called[] {
  const text = readFileSync(join(folder, "calls"), "utf8");
  rmSync(join(folder, "calls"));
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const [plugin = "", command = "", id = "", netns = "", name = "", args = "", ...config] = line.split("|");
      return { plugin, command, id, netns, name, args, config: JSON.parse(config.join("|")) };
    });
}

const network = (plugins: object[], more: object = {}) =>
  parseNetwork(JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins, ...more }), "net.conflist");

const attachment: Attachment = {
  containerId: "default-web",
  netns: "/proc/1/ns/net",
  interfaceName: "eth0",
  args: [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAME", "web"],
  ],
  capabilities: { portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }], bandwidth: { ingressRate: 1 } },
};

describe("calls of plugins", () => {
  beforeAll(() => {
    plugin("first");
    plugin("second");
  });
  const cni = () => new Cni({ pluginDirectories: ["/nowhere", folder], cacheDirectory: join(folder, "cache") });

  test("those of an unknown container are found in the cache, and removed by the configuration of their time", async () => {
    const cacheDirectory = join(folder, "kept");
    const cni = new Cni({ pluginDirectories: [folder], cacheDirectory });
    await cni.add(network([{ type: "first", mtu: 1400 }]), { ...attachment, containerId: "gone" });
    calls();
    const [kept, ...others] = cni.kept();
    expect(others).toEqual([]);
    expect(kept?.attachment).toMatchObject({ containerId: "gone", interfaceName: "eth0", netns: attachment.netns });
    if (kept !== undefined) await cni.remove(kept.network, { ...kept.attachment, netns: "" });
    expect(calls()).toMatchObject([{ command: "DEL", id: "gone", netns: "", config: { mtu: 1400, name: "net" } }]);
    expect(cni.kept()).toEqual([]);
    writeFileSync(join(cacheDirectory, "results", "odd"), "{");
    expect(cni.kept()).toEqual([]);
  });

  test("one that isn't there any more can be left out, and the attachment is kept for later", async () => {
    const cacheDirectory = join(folder, "left-out");
    const cni = new Cni({ pluginDirectories: [folder], cacheDirectory });
    const id = { ...attachment, containerId: "left" };
    plugin("leaving");
    const net = network([{ type: "first" }, { type: "leaving" }]);
    await cni.add(net, id);
    rmSync(join(folder, "leaving"));
    calls();
    await expect(cni.remove(net, id)).rejects.toThrow('failed to find plugin "leaving"');
    await cni.remove(net, id, { leaveOut: ({ code }) => code === "notFound" });
    expect(calls().map(({ plugin, command }) => [plugin, command])).toEqual([["first", "DEL"]]);
    expect(cni.kept("left")).toHaveLength(1);
    expect(cni.kept("lef")).toEqual([]);
    plugin("leaving");
    await cni.remove(net, id, { leaveOut: ({ code }) => code === "notFound" });
    expect(calls()).toHaveLength(2);
    expect(cni.kept("left")).toEqual([]);
  });

  test("all of a network are told which attachments count, even if one of them fails", async () => {
    const failing = network([{ type: "first", fails: "GC" }, { type: "second" }], { cniVersion: "1.1.0" });
    await expect(cni().collect(failing, [attachment])).rejects.toThrow('plugin type="first" failed (gc): not now');
    const expected = [{ containerID: "default-web", ifname: "eth0" }];
    const told = calls();
    expect(told.map(({ plugin, command, id }) => [plugin, command, id])).toEqual([
      ["first", "GC", ""],
      ["second", "GC", ""],
    ]);
    for (const { config } of told) expect(config["cni.dev/valid-attachments"]).toEqual(expected);
    await cni().collect(network([{ type: "first" }]), []);
    await cni().collect(network([{ type: "first" }], { cniVersion: "1.1.0", disableGC: true }), []);
    expect(readdirSync(folder)).not.toContain("calls");
  });

  test("added in order, each with the answer of the one before; removed in reverse, with the last one's", async () => {
    const two = network([
      { type: "first", mtu: 9000 },
      { type: "second", capabilities: { portMappings: true } },
    ]);
    const result = await cni().add(two, attachment);
    expect(addressesOf(result)).toEqual([{ address: "10.1.0.2/16", gateway: "10.1.0.1", interface: 0 }]);
    const added = calls();
    expect(added.map(({ plugin, command, id, netns, name, args }) => [plugin, command, id, netns, name, args])).toEqual(
      [
        ["first", "ADD", "default-web", "/proc/1/ns/net", "eth0", "IgnoreUnknown=1;K8S_POD_NAME=web"],
        ["second", "ADD", "default-web", "/proc/1/ns/net", "eth0", "IgnoreUnknown=1;K8S_POD_NAME=web"],
      ],
    );
    expect(added[0]?.config).toEqual({ type: "first", mtu: 9000, name: "net", cniVersion: "1.0.0" });
    expect(added[1]?.config).toMatchObject({
      runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }] },
      prevResult: { by: "first" },
    });
    expect(readdirSync(join(folder, "cache", "results"))).toEqual(["net-default-web-eth0"]);
    expect(cni().resultOf(two, attachment)?.ips[0]?.address).toBe("10.1.0.2/16");

    await cni().check(two, attachment);
    expect(calls().map(({ plugin, command }) => [plugin, command])).toEqual([
      ["first", "CHECK"],
      ["second", "CHECK"],
    ]);

    // By another caller that knows the container alone: the rest is in the cache.
    await cni().remove(two, { containerId: "default-web", netns: "", interfaceName: "eth0" });
    const removed = calls();
    expect(removed.map(({ plugin, command, args }) => [plugin, command, args])).toEqual([
      ["second", "DEL", "IgnoreUnknown=1;K8S_POD_NAME=web"],
      ["first", "DEL", "IgnoreUnknown=1;K8S_POD_NAME=web"],
    ]);
    expect(removed[0]?.config).toMatchObject({ prevResult: { by: "second" } });
    expect(readdirSync(join(folder, "cache", "results"))).toEqual([]);
    await cni().remove(two, attachment);
    calls();
  });

  test("what fails half way is taken back", async () => {
    const failing = network([{ type: "first" }, { type: "second", fails: "ADD" }]);
    const error = await cni()
      .add(failing, attachment)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CniError);
    expect(String(error)).toContain('plugin type="second" failed (add): not now: ask later');
    expect((error as CniError).number).toBe(11);
    expect(calls().map(({ plugin, command }) => `${plugin} ${command}`)).toEqual([
      "first ADD",
      "second ADD",
      "second DEL",
      "first DEL",
    ]);
  });

  test("a check of what was never added, and of versions without checks", async () => {
    await expect(cni().check(network([{ type: "first" }]), { ...attachment, containerId: "never" })).rejects.toThrow(
      'container "never" is not known to be on network "net"',
    );
    await expect(cni().check(network([{ type: "first" }], { cniVersion: "0.3.1" }), attachment)).rejects.toThrow(
      "0.4.0",
    );
    await cni().check(network([{ type: "first" }], { disableCheck: true }), attachment);
  });

  test("a plugin that isn't installed, and names that can't be", async () => {
    await expect(cni().add(network([{ type: "nothing" }]), attachment)).rejects.toThrow(
      `failed to find plugin "nothing" in path [/nowhere ${folder}]`,
    );
    await expect(cni().add(network([{ type: "first" }]), { ...attachment, containerId: "../x" })).rejects.toThrow(
      "container id",
    );
    await expect(cni().add(network([{ type: "first" }]), { ...attachment, interfaceName: "a/b" })).rejects.toThrow(
      "interface",
    );
    expect(cni().add(network([{ type: "first" }]), { ...attachment, args: [["a", "b;C=d"]] })).rejects.toThrow(
      "argument",
    );
  });

  test("a call that is given up ends the plugin", async () => {
    writeFileSync(join(folder, "slow"), "#!/bin/sh\nexec sleep 60\n");
    chmodSync(join(folder, "slow"), 0o755);
    const start = performance.now();
    const signal = AbortSignal.timeout(100);
    await expect(cni().status(network([{ type: "slow" }], { cniVersion: "1.1.0" }), { signal })).rejects.toThrow();
    expect(performance.now() - start).toBeLessThan(40_000);
  });
});

describe("configurations", () => {
  test("lists and single plugins, in the order of the files' names", () => {
    const directory = mkdtempSync(join(folder, "net.d-"));
    writeFileSync(join(directory, "20-b.conf"), '{"name":"b","type":"bridge","bridge":"br0"}');
    writeFileSync(join(directory, "10-a.conflist"), '{"name":"a","cniVersion":"1.0.0","plugins":[{"type":"ptp"}]}');
    writeFileSync(join(directory, "notes.txt"), "nothing");
    const found = loadNetworks(directory);
    expect(found.map(({ name, cniVersion, plugins }) => [name, cniVersion, plugins[0]?.type])).toEqual([
      ["a", "1.0.0", "ptp"],
      ["b", "0.2.0", "bridge"],
    ]);
    expect(loadNetworks(directory, { most: 1 }).length).toBe(1);
    expect(loadNetworks(join(directory, "none"))).toEqual([]);
    expect(findNetwork(found, "b").name).toBe("b");
    expect(() => findNetwork(found, "c")).toThrow('no such network: "c"; there are "a", "b"');
  });

  test.each([
    ["[]", "no object"],
    ["{", "no JSON"],
    ["{}", "name"],
    ['{"name":"../x","type":"a"}', "name"],
    ['{"name":"x"}', "neither"],
    ['{"name":"x","plugins":[]}', "at least one"],
    ['{"name":"x","plugins":[{"type":"../../bin/sh"}]}', "type"],
    ['{"name":"x","type":"a","cniVersion":1}', "cniVersion"],
  ])("%s is refused", (text, why) => {
    expect(() => parseNetwork(text, "f.conf")).toThrow(why);
  });

  test("any JSON is read or refused with the file's name", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          expect(parseNetwork(text, "f.conf").plugins.length).toBeGreaterThan(0);
        } catch (error) {
          expect(String(error)).toContain('"f.conf"');
        }
      }),
    );
  });
});

describe("results", () => {
  test("of versions before 0.3.0", () => {
    const { ips, routes } = parseResult({
      ip4: { ip: "10.0.0.5/24", gateway: "10.0.0.1", routes: [{ dst: "0.0.0.0/0" }] },
      dns: { nameservers: ["10.0.0.1"] },
    });
    expect(ips).toEqual([{ address: "10.0.0.5/24", gateway: "10.0.0.1" }]);
    expect(routes).toEqual([{ dst: "0.0.0.0/0" }]);
  });

  test("nothing that a plugin prints breaks the reader", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => void addressesOf(parseResult(value))));
  });
});

describe("networks of version 1.1", () => {
  test("have the newest of their versions that is known here", () => {
    const version = (more: object) => network([{ type: "a" }], more).cniVersion;
    expect(version({ cniVersions: ["0.4.0", "1.1.0", "1.0.0"] })).toBe("1.1.0");
    expect(version({ cniVersions: ["1.0.0", "2.0.0"] })).toBe("1.0.0");
    expect(version({ cniVersions: ["2.0.0"] })).toBe("1.0.0");
    expect(() => version({ cniVersions: "1.0.0" })).toThrow('"cniVersions" must be a list of versions');
  });

  test("take more plugins from the directory of their name, unless they say not to", () => {
    const directory = mkdtempSync(join(folder, "added-"));
    const list = { cniVersion: "1.0.0", name: "net", plugins: [{ type: "a" }] };
    writeFileSync(join(directory, "1.conflist"), JSON.stringify(list));
    mkdirSync(join(directory, "net"));
    writeFileSync(join(directory, "net", "b.conf"), '{"type":"b"}');
    writeFileSync(join(directory, "net", "other.txt"), "");
    const [added] = loadNetworks(directory);
    expect(added?.plugins.map(({ type }) => type)).toEqual(["a", "b"]);
    // What is kept of an attachment has them too.
    expect(parseNetwork(added?.text ?? "", "text").plugins.map(({ type }) => type)).toEqual(["a", "b"]);
    writeFileSync(join(directory, "1.conflist"), JSON.stringify({ ...list, loadOnlyInlinedPlugins: true }));
    expect(loadNetworks(directory)[0]?.plugins.map(({ type }) => type)).toEqual(["a"]);
    writeFileSync(join(directory, "1.conflist"), JSON.stringify(list));
    writeFileSync(join(directory, "net", "b.conf"), "{}");
    expect(() => loadNetworks(directory)).toThrow('"type" is missing');
  });
});
