import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killsAbove, OomWatch } from "./oom.ts";

describe("the end of a container with version 2 of control groups", () => {
  let pod = "";
  let group = "";
  let told = 0;
  const tell = () => {
    told++;
  };
  const count = (directory: string, kills: number) =>
    writeFileSync(join(directory, "memory.events"), `low 0\nmax 3\noom 1\noom_kill ${kills}\noom_group_kill 0\n`);
  const watch = () => {
    const paths = { v1: new Map<string, string>(), v2: group };
    return new OomWatch(paths, killsAbove(paths), tell);
  };

  beforeEach(() => {
    pod = mkdtempSync(join(tmpdir(), "hull-oom-"));
    group = join(pod, "one");
    mkdirSync(group);
    count(pod, 4);
    count(group, 0);
    told = 0;
  });
  afterEach(() => rmSync(pod, { recursive: true }));

  test("tells of a kill that its group has counted", () => {
    const watched = watch();
    count(group, 1);
    expect(watched.end(true)).toBe(true);
    expect(told).toBe(1);
  });

  test("tells of one that only the group above still knows of, as when systemd was faster", () => {
    const watched = watch();
    count(pod, 5);
    rmSync(group, { recursive: true });
    expect(watched.end(true)).toBe(true);
    expect(told).toBe(1);
  });

  test("tells nothing of kills before it, of one that didn't die of a kill, nor of a neighbour's", () => {
    const early = watch();
    const other = watch();
    const neighbour = watch();
    expect(neighbour.end(true)).toBe(false);
    count(pod, 5);
    expect(watch().end(true)).toBe(false);
    rmSync(group, { recursive: true });
    expect(other.end(false)).toBe(false);
    count(pod, 4);
    expect(early.end(true)).toBe(false);
    expect(told).toBe(0);
  });
});
