import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import fc from "fast-check";
import {
  cgroupAt,
  cgroupMode,
  cgroupOf,
  cgroupProcesses,
  joinCgroup,
  killCgroup,
  locateCgroup,
  parseCgroupFile,
  removeCgroup,
  setCgroupFrozen,
} from "./cgroup.ts";
import { cgroupStats, parseBlkio, parseIoStat, parseTable, unlimited } from "./cgroup-stats.ts";
import { parseMountInfo } from "./mount-info.ts";
import { processStat } from "./process.ts";
import { isRoot } from "./testing.ts";

test("version 1, with joined controllers, a named tree and a path with colons", () => {
  const paths = parseCgroupFile("12:cpu,cpuacct:/a:b\n1:name=systemd:/s\n0::/u\n");
  expect([...paths]).toEqual([
    ["cpu", "/a:b"],
    ["cpuacct", "/a:b"],
    ["name=systemd", "/s"],
    ["", "/u"],
  ]);
  const mounts = parseMountInfo(
    [
      "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
      "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
      "32 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
    ].join("\n"),
  );
  expect(locateCgroup(paths, mounts)).toEqual({
    controllers: {
      cpu: "/sys/fs/cgroup/cpu,cpuacct/a:b",
      cpuacct: "/sys/fs/cgroup/cpu,cpuacct/a:b",
      "name=systemd": "/sys/fs/cgroup/systemd/s",
    },
    unified: "/sys/fs/cgroup/unified/u",
  });
});

test("in a container the tree starts further down", () => {
  const mounts = parseMountInfo("30 25 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw");
  expect(locateCgroup(new Map([["", "/docker/1/sub"]]), mounts).unified).toBe("/sys/fs/cgroup/sub");
  expect(locateCgroup(new Map([["", "/docker/12"]]), mounts).unified).toBeUndefined();
});

test("any cgroup file is read or refused", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseCgroupFile(text);
      } catch (error) {
        expect(error).toMatchObject({ code: "dataLoss" });
      }
    }),
  );
  expect(() => cgroupAt("relative")).toThrow("not the path of a control group");
  expect(() => cgroupAt("/a/../../b")).toThrow("not the path of a control group");
});

test("statistics files", () => {
  expect(parseTable("cache 1\nrss 18446744073709551615\nodd\n\nlow max\n")).toEqual({
    cache: 1n,
    rss: 2n ** 64n - 1n,
    low: unlimited,
  });
  expect(parseBlkio("8:0 Read 5\n8:16 7\nTotal 12\n")).toEqual([
    { major: 8n, minor: 0n, operation: "Read", value: 5n },
    { major: 8n, minor: 16n, operation: "", value: 7n },
  ]);
  expect(parseIoStat("259:1 rbytes=1 wbytes=2\n8:0 \n")).toEqual([
    { major: 259n, minor: 1n, operation: "rbytes", value: 1n },
    { major: 259n, minor: 1n, operation: "wbytes", value: 2n },
  ]);
});

const mode = cgroupMode();

describe.skipIf(!isRoot || mode === "none")(`on this host, ${mode} (needs root and mounted control groups)`, () => {
  test("a process knows its own", () => {
    const { controllers, unified } = cgroupOf("self");
    for (const directory of Object.values(controllers)) expect(existsSync(directory)).toBe(true);
    expect(Object.keys(controllers).length > 0 || unified !== undefined).toBe(true);
  });

  test("a group is made, joined, measured, frozen, killed and removed", async () => {
    const cgroup = cgroupAt(`/hull-test-${process.pid}`);
    const directories = new Set([...Object.values(cgroup.controllers), ...(cgroup.unified ? [cgroup.unified] : [])]);
    for (const directory of directories) {
      // cpuset refuses processes until it is told its processors: leave that tree alone.
      if (!/cpuset/.test(directory)) mkdirSync(directory);
    }
    const { cpuset: _, ...others } = cgroup.controllers;
    const group = { ...cgroup, controllers: others };
    const child = Bun.spawn(["sh", "-c", "while :; do :; done"]);
    try {
      joinCgroup(group, child.pid);
      expect(cgroupProcesses(group)).toEqual([child.pid]);
      // Its turn on a processor comes when it comes.
      while (cgroupStats(group).cpu?.totalNs === 0n) await Bun.sleep(10);
      const stats = cgroupStats(group);
      if (stats.cpu !== undefined) expect(stats.cpu.totalNs).toBeGreaterThan(0n);
      if (stats.pids !== undefined) expect(stats.pids).toEqual({ current: 1n, limit: unlimited });
      if (stats.memory !== undefined) expect(stats.memory.usage).toBeGreaterThanOrEqual(0n);
      setCgroupFrozen(group, true);
      await Bun.sleep(20);
      const before = processStat(child.pid).userTicks;
      await Bun.sleep(40);
      expect(processStat(child.pid).userTicks).toBe(before);
      setCgroupFrozen(group, false);
      killCgroup(group);
      expect(await child.exited).toBe(137);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
      removeCgroup(group);
    }
    expect(cgroupProcesses(group)).toEqual([]);
    removeCgroup(group);
    for (const directory of directories) expect(existsSync(directory)).toBe(false);
  });
});
