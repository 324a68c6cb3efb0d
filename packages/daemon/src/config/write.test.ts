import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parse } from "smol-toml";
import { daemonPlugins } from "../daemon.ts";
import { defaultConfig, type LoadedConfig, loadConfig } from "./load.ts";
import { writeConfig } from "./write.ts";

const directory = mkdtempSync(join(tmpdir(), "hull-config-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function load(source: string): LoadedConfig {
  const file = join(directory, "config.toml");
  writeFileSync(file, source);
  return loadConfig(file, daemonPlugins);
}

describe("a written configuration", () => {
  test("of defaults is complete, explained, and read back without a warning", () => {
    const text = writeConfig(defaultConfig().config, daemonPlugins, { comments: true });
    expect(text).toStartWith("# Version of the file's format\nversion = 3\n");
    expect(text).toContain("# Directory of what survives a reboot\nroot = ");
    expect(text).toContain('[plugins."io.containerd.gc.v1.scheduler"]\n');
    const { config, warnings } = load(text);
    expect(warnings).toEqual([]);
    expect({ ...config, plugins: {} }).toEqual({ ...defaultConfig().config, version: 3, plugins: {} });
  });

  test("of any values is read back as them", () => {
    const duration = fc.nat({ max: 100_000 }).map((ms) => `${ms}ms`);
    const table = fc.dictionary(
      fc.string({ minLength: 1 }),
      fc.oneof(fc.string(), fc.boolean(), fc.array(fc.string())),
    );
    const sample = fc.record({
      root: fc.string(),
      disabled_plugins: fc.constantFrom([], ["io.containerd.grpc.v1.cri"]),
      uid: fc.nat(),
      delay: duration,
      load: duration,
      processor: table,
    });
    fc.assert(
      fc.property(sample, ({ root, disabled_plugins, uid, delay, load: timeout, processor }) => {
        const { config } = defaultConfig();
        const written = writeConfig(
          {
            ...config,
            root,
            disabled_plugins,
            grpc: { ...config.grpc, uid },
            plugins: { "io.containerd.gc.v1.scheduler": { schedule_delay: delay } },
            timeouts: { ...config.timeouts, "io.containerd.timeout.shim.load": Number.parseInt(timeout, 10) },
            stream_processors: { "io.x/y": processor },
          },
          daemonPlugins,
        );
        const read = load(written).config;
        expect([read.root, read.grpc.uid, read.disabled_plugins]).toEqual([root, uid, disabled_plugins]);
        expect(read.plugins["io.containerd.gc.v1.scheduler"]).toMatchObject({ schedule_delay: delay });
        expect(read.timeouts["io.containerd.timeout.shim.load"]).toBe(Number.parseInt(timeout, 10));
        expect({ ...(read.stream_processors["io.x/y"] as object) }).toEqual({ ...processor });
      }),
      { numRuns: 50 },
    );
  });

  test("tables within tables and lists of tables are kept", () => {
    const { config } = defaultConfig();
    const list = { unpack_config: [{ platform: "linux/amd64" }, { platform: "linux/arm64" }], deep: { er: { x: 1 } } };
    const plugins = { ...config.plugins, "io.containerd.transfer.v1.local": list };
    const written = parse(writeConfig({ ...config, plugins }, daemonPlugins));
    expect((written.plugins as Record<string, object>)["io.containerd.transfer.v1.local"]).toMatchObject(list);
  });
});

describe("older versions", () => {
  test("of a file of version 1 the plugins, named by their ids alone, get their names", () => {
    const { config, warnings } = load(
      'disabled_plugins = ["cri", "restart"]\n[plugins.scheduler]\npause_threshold = 0.1\n[plugins.overlayfs]\nroot_path = "/o"',
    );
    expect(warnings).toEqual([]);
    expect(config.disabled_plugins).toEqual([
      "io.containerd.grpc.v1.cri",
      "io.containerd.monitor.container.v1.restart",
    ]);
    expect(config.plugins).toEqual({
      "io.containerd.gc.v1.scheduler": { pause_threshold: 0.1 },
      "io.containerd.snapshotter.v1.overlayfs": { root_path: "/o" },
    });
  });

  test("of a file of version 2 the plugins that were renamed get their names", () => {
    const { config } = load('version = 2\n[plugins."io.containerd.monitor.v1.cgroups"]\nno_prometheus = true');
    expect(config.plugins).toEqual({ "io.containerd.monitor.task.v1.cgroups": { no_prometheus: true } });
  });

  test("a plugin that isn't known can't be disabled or required without a warning", () => {
    const { warnings } = load('disabled_plugins = ["io.containerd.snapshotter.v1.overlay"]');
    expect(warnings).toEqual([expect.stringContaining('did you mean "io.containerd.snapshotter.v1.overlayfs"?')]);
  });
});
