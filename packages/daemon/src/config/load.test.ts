import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { configTable, flag, text } from "@hull/engine/plugin/config";
import { definePlugin } from "@hull/engine/plugin/index";
import fc from "fast-check";
import { changedTables, type LoadedConfig, loadConfig } from "./load.ts";

const directory = mkdtempSync(join(tmpdir(), "hull-config-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const overlay = definePlugin({
  type: "io.containerd.snapshotter.v1",
  id: "overlayfs",
  config: configTable({ root_path: text("", "where"), sync_remove: flag(false, "wait") }),
  start: () => undefined,
});

let number = 0;

/** Loads a configuration of these files; the first is the one named on the command line. */
function load(files: Record<string, string>): LoadedConfig & { at: (name: string) => string } {
  const base = join(directory, String(++number));
  const at = (name: string) => join(base, name);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(at(name)), { recursive: true });
    writeFileSync(at(name), content);
  }
  const [main = ""] = Object.keys(files);
  return { ...loadConfig(at(main), [overlay]), at };
}

describe("configuration", () => {
  test("an empty file is valid and gives the defaults", () => {
    const { config, warnings } = load({ "config.toml": "" });
    expect(warnings).toEqual([]);
    expect([config.root, config.grpc.address, config.debug.level, config.oom_score]).toEqual([
      "/var/lib/hull",
      "/run/hull/hull.sock",
      "",
      0,
    ]);
  });

  test("a file of each version is read", () => {
    const v2 = load({
      c: 'version = 2\nroot = "/r"\n[grpc]\naddress = "/s"\nuid = 5\n[plugins."io.containerd.snapshotter.v1.overlayfs"]\nroot_path = "/o"',
    });
    expect([v2.config.root, v2.config.grpc.address, v2.config.grpc.uid]).toEqual(["/r", "/s", 5]);
    expect(v2.config.plugins).toEqual({ "io.containerd.snapshotter.v1.overlayfs": { root_path: "/o" } });
    const v4 = load({
      c: 'version = 4\n[plugins."io.containerd.server.v1.grpc"]\naddress = "/s4"\n[plugins."io.containerd.server.v1.ttrpc"]\nuid = 7',
    });
    expect([v4.config.grpc.address, v4.config.ttrpc.uid, v4.warnings]).toEqual(["/s4", 7, []]);
  });

  test("an unknown key is a warning that names file and key and what was meant", () => {
    const { warnings, at } = load({
      c: 'rooot = "/r"\n[grpc]\nadress = "/s"\nxyzzyx = 1\n[plugins."io.containerd.snapshotter.v1.overlayfs"]\nroot_paths = "/o"\n[plugins."io.containerd.snapshotter.v1.overlay"]\na = 1\n[nothing]\nb = 2',
    });
    expect(warnings).toEqual([
      `${at("c")}: unknown key "rooot" is ignored; did you mean "root"?`,
      `${at("c")}: unknown key "grpc.adress" is ignored; did you mean "grpc.address"?`,
      `${at("c")}: unknown key "grpc.xyzzyx" is ignored`,
      expect.stringContaining('unknown key "nothing" is ignored'),
      `${at("c")}: unknown key "plugins."io.containerd.snapshotter.v1.overlayfs".root_paths" is ignored; did you mean "plugins."io.containerd.snapshotter.v1.overlayfs".root_path"?`,
      `${at("c")}: unknown key "plugins."io.containerd.snapshotter.v1.overlay"" is ignored; did you mean "plugins."io.containerd.snapshotter.v1.overlayfs""?`,
    ]);
  });

  test.each([
    ["root = 5", 'key "root" must be a string, not 5'],
    ["version = 9", 'key "version" must be an integer from 1 to 4, not 9'],
    ['[grpc]\nuid = "me"', 'table [grpc]: key "uid" must be an integer from 0 to 4294967294, not "me"'],
    ['[debug]\nformat = "xml"', 'table [debug]: key "format" must be one of "", "text", "json", not "xml"'],
    [
      '[plugins."io.containerd.snapshotter.v1.overlayfs"]\nsync_remove = "yes"',
      'table [plugins."io.containerd.snapshotter.v1.overlayfs"]: key "sync_remove" must be true or false, not "yes"',
    ],
    ["disabled_plugins = 3", 'key "disabled_plugins" must be a list of strings, not 3'],
    ["root = \nstate = 1", "line 1, column 8"],
    ['imports = ["gone.toml"]', "gone.toml\" can't be read: ENOENT"],
  ])("%j is an error that names file, key, value and what is expected", (source, message) => {
    expect(() => load({ "config.toml": source })).toThrow(message);
    expect(() => load({ "config.toml": source })).toThrow(/\.toml/);
  });

  test("imports are merged in order: tables by key, lists united, later wins", () => {
    const { config } = load({
      "config.toml":
        'root = "/a"\nstate = "/s"\nimports = ["conf.d/*.toml", "last.toml"]\ndisabled_plugins = ["a.b"]\n[grpc]\nuid = 1\n[timeouts]\n"io.containerd.timeout.shim.load" = "1s"',
      "conf.d/2.toml": 'root = "/2"\n[grpc]\ngid = 2',
      "conf.d/1.toml": 'root = "/1"\ndisabled_plugins = ["a.b", "c.d"]\nimports = ["../config.toml"]',
      "last.toml": '[timeouts]\n"io.containerd.timeout.task.state" = "7s"',
    });
    expect(config.root).toBe("/2");
    expect(config.state).toBe("/s");
    expect([config.grpc.uid, config.grpc.gid]).toEqual([1, 2]);
    expect(config.disabled_plugins).toEqual(["a.b", "c.d"]);
    expect(config.timeouts).toMatchObject({
      "io.containerd.timeout.shim.load": 1000,
      "io.containerd.timeout.task.state": 7000,
      "io.containerd.timeout.shim.cleanup": 5000,
    });
  });

  test("what hull can't do yet is accepted, and said", () => {
    const { warnings } = load({
      c: '[plugins."io.containerd.podsandbox.controller.v1.podsandbox"]\nx = "y"\n[plugins."io.containerd.snapshotter.v1.devmapper"]\nroot_path = ""\n[grpc]\ntcp_tls_common_name = "x"',
    });
    expect(warnings).toEqual([
      expect.stringContaining('key "grpc.tcp_tls_common_name" has no effect'),
      expect.stringContaining(
        'table [plugins."io.containerd.podsandbox.controller.v1.podsandbox"] is read but has no effect: the CRI keeps pods',
      ),
    ]);
  });

  test("a timeout that bounds nothing here is said, unless it stands at what it is anyway", () => {
    const key = '"io.containerd.timeout.bolt.open"';
    expect(load({ c: `[timeouts]\n${key} = "0s"` }).warnings).toEqual([]);
    expect(load({ c: `[timeouts]\n${key} = "5s"` }).warnings).toEqual([expect.stringContaining("has no effect")]);
  });

  test("tables without what is the default tell what somebody set", () => {
    const { config } = load({
      c: '[plugins."io.containerd.snapshotter.v1.overlayfs"]\nroot_path = ""\nsync_remove = true',
    });
    expect(changedTables(config, [overlay])).toEqual({
      "io.containerd.snapshotter.v1.overlayfs": { sync_remove: true },
    });
  });

  test("no text makes it fail with anything but its own errors", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.constantFrom("root", "[grpc]", "[plugins.x]", "= 1", '"')), (source) => {
        try {
          load({ "config.toml": source });
        } catch (error) {
          expect(error).toMatchObject({ name: "HullError [invalidArgument]", code: "invalidArgument" });
        }
      }),
    );
  });
});
