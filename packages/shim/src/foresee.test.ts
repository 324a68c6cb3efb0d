import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createWillFail, execWillFail } from "./foresee.ts";

describe("foreseeing a refusal", () => {
  let bundle: string;
  const env = ["PATH=/usr/bin:/bin"];
  beforeAll(() => {
    bundle = mkdtempSync(join(tmpdir(), "hull-foresee-"));
    mkdirSync(join(bundle, "rootfs/bin"), { recursive: true });
    writeFileSync(join(bundle, "rootfs/bin/box"), "");
    chmodSync(join(bundle, "rootfs/bin/box"), 0o755);
    writeFileSync(join(bundle, "rootfs/bin/text"), "");
    // Links that lead out of the root on the host, but not to a process inside.
    symlinkSync("/bin/box", join(bundle, "rootfs/bin/absolute"));
    symlinkSync("../../../../bin/box", join(bundle, "rootfs/bin/relative"));
    symlinkSync("/etc/hostname", join(bundle, "rootfs/bin/gone"));
  });
  afterAll(() => rmSync(bundle, { recursive: true }));

  test.each([
    ["box", false],
    ["/bin/box", false],
    ["bin/box", false],
    ["absolute", false],
    ["relative", false],
    ["none", true],
    ["/bin/none", true],
    ["text", true],
    ["/bin", true],
    ["gone", true],
    ["", true],
  ])("program %p", (name, fails) => {
    const process = { args: [name], cwd: "/", env };
    expect(createWillFail(bundle, { process })).toBe(fails);
    expect(execWillFail(join(bundle, "rootfs"), new TextEncoder().encode(JSON.stringify(process)))).toBe(fails);
  });

  test("a relative working directory, a bind mount of nothing, a root elsewhere", () => {
    const process = { args: ["box"], cwd: "/", env };
    expect(createWillFail(bundle, { process: { ...process, cwd: "bin" } })).toBe(true);
    expect(createWillFail(bundle, { process, mounts: [{ source: "/nonexistent", options: ["rbind"] }] })).toBe(true);
    expect(createWillFail(bundle, { process, mounts: [{ type: "tmpfs", source: "tmpfs" }] })).toBe(false);
    expect(createWillFail(bundle, { process, root: { path: "/nonexistent" } })).toBe(true);
  });

  test("an exec in a directory that isn't there, and a document that is none", () => {
    const spec = { args: ["box"], cwd: "/none", env };
    expect(execWillFail(join(bundle, "rootfs"), new TextEncoder().encode(JSON.stringify(spec)))).toBe(true);
    expect(execWillFail(join(bundle, "rootfs"), new TextEncoder().encode("{"))).toBe(true);
  });

  test.each([
    '{ "args": ["box"], "cwd": ["/"], "env": ["PATH=/bin"] }',
    '{ "args": "box", "cwd": "/", "env": "PATH=/bin" }',
    '{ "args": ["box"], "cwd": "/", "env": [5] }',
    "null",
    "5",
  ])("values of other types in a process, %s", (text) => {
    expect(createWillFail(bundle, { process: JSON.parse(text) })).toBe(true);
    expect(execWillFail(join(bundle, "rootfs"), new TextEncoder().encode(text))).toBe(true);
  });

  test.each(['{ "mounts": [null] }', '{ "mounts": 5 }', '{ "root": { "path": 5 } }'])("and elsewhere, %s", (text) => {
    const process = { args: ["box"], cwd: "/", env };
    expect(createWillFail(bundle, { process, ...JSON.parse(text) })).toBe(true);
  });
});
