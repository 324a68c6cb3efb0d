import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { SysError } from "./errno.ts";
import { mount, mountAll, mountFlags, mountInfo, unmount, unmountAll, unmountTree } from "./mount.ts";
import { mountByDescriptor, mountByLayer } from "./mount-overlay.ts";
import { fileSystemType, hasEntryTypes, overlaySupport } from "./mount-support.ts";
import { isRoot, temporaryDirectory } from "./testing.ts";

const mountsOn = (path: string) => mountInfo().filter(({ target }) => target === path);
const mountsAt = (path: string) => mountInfo().filter(({ target }) => target === path || target.startsWith(`${path}/`));

describe("errors", () => {
  test.skipIf(!isRoot)("a failed mount says what, where and why (needs root)", () => {
    expect(() => mount({ source: "/a", target: "/no/such/place", type: "overlay" })).toThrow(
      'mount "/a" on "/no/such/place" (type overlay): ENOENT: no such file or directory',
    );
  });

  test("unmounting what isn't a mount is EINVAL", () => {
    using directory = temporaryDirectory();
    let thrown: unknown;
    try {
      unmount(directory.path);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SysError);
    expect(thrown).toMatchObject(isRoot ? { errnoName: "EINVAL", code: "invalidArgument", syscall: "unmount" } : {});
  });

  test("a NUL in a path is refused, not cut", () => {
    expect(() => mount({ source: "a\0b", target: "/" })).toThrow("NUL");
  });
});

test("nothing is mounted on the root directory, by whatever name, or on an empty path", () => {
  using directory = temporaryDirectory();
  symlinkSync("/", directory.at("root"));
  for (const target of ["/", "//", "/.", "/..", "/tmp/..", "/proc/self/root", directory.at("root"), ""]) {
    const before = mountsOn("/").length;
    for (const options of [["rbind"], ["bind", "ro"], []]) {
      const refused = target === "" ? "place of a mount is empty" : "is the root directory";
      expect(() => mountAll([{ type: "", source: "/", options }], target)).toThrow(refused);
    }
    expect(() => mount({ source: "/", target, flags: mountFlags.bind | mountFlags.recursive })).toThrow();
    expect(() => unmountTree(target)).toThrow();
    expect(mountsOn("/")).toHaveLength(before);
  }
});

describe.skipIf(!isRoot)("mounts (need root)", () => {
  test("a read-only bind mount is read-only and keeps its flags", () => {
    using directory = temporaryDirectory();
    mkdirSync(directory.at("source"));
    mkdirSync(directory.at("target"));
    mountAll(
      [{ type: "bind", source: directory.at("source"), options: ["rbind", "ro", "nosuid", "rprivate"] }],
      directory.at("target"),
    );
    expect(() => writeFileSync(directory.at("target", "file"), "")).toThrow("EROFS");
    const [info] = mountsAt(directory.at("target"));
    expect(info?.options).toEqual(expect.arrayContaining(["ro", "nosuid"]));
    writeFileSync(directory.at("source", "file"), "");
    unmountAll(directory.at("target"));
    expect(mountsAt(directory.at("target"))).toEqual([]);
  });

  test("mounts below a target are made in order, and undone when a later one fails", () => {
    using directory = temporaryDirectory();
    const good = { type: "tmpfs", source: "tmpfs", options: ["size=64k", "mode=755"] };
    mountAll([good, { ...good, target: "" }], directory.path);
    expect(mountsAt(directory.path)).toHaveLength(2);
    expect(fileSystemType(directory.path)).toBe("tmpfs");
    unmountAll(directory.path);
    expect(() => mountAll([good, { ...good, target: "/missing" }], directory.path)).toThrow("ENOENT");
    expect(mountsAt(directory.path)).toEqual([]);
    expect(() => mountAll([{ ...good, target: "a/../../b" }], directory.path)).toThrow("leads out");
  });

  test("unmountAll takes down stacks, mounts below, and what is in use", () => {
    using directory = temporaryDirectory();
    for (let index = 0; index < 3; index++) mount({ source: "tmpfs", target: directory.path, type: "tmpfs" });
    mkdirSync(directory.at("below"));
    mount({ source: "tmpfs", target: directory.at("below"), type: "tmpfs" });
    const user = Bun.spawn(["cat"], { cwd: directory.at("below"), stdin: "pipe" });
    unmountAll(directory.path);
    expect(mountsAt(directory.path)).toEqual([]);
    unmountAll(directory.path);
    unmountAll("/no/such/place");
    user.kill();
  });

  test("a symbolic link at the end is not followed by unmounting", () => {
    using directory = temporaryDirectory();
    mkdirSync(directory.at("real"));
    mount({ source: "tmpfs", target: directory.at("real"), type: "tmpfs" });
    symlinkSync("real", directory.at("link"));
    expect(() => unmount(directory.at("link"))).toThrow("EINVAL");
    expect(mountsAt(directory.at("real"))).toHaveLength(1);
  });

  const overlay = (directory: { at(...parts: string[]): string }, layers: number) => {
    const long = "l".repeat(60);
    const lower = Array.from({ length: layers }, (_, index) => directory.at(`${long}-${index}`, "fs"));
    for (const [index, path] of lower.entries()) {
      mkdirSync(path, { recursive: true });
      writeFileSync(`${path}/${index}`, "lower");
    }
    for (const name of ["upper", "work", "merged"]) mkdirSync(directory.at(name));
    return [
      `workdir=${directory.at("work")}`,
      `upperdir=${directory.at("upper")}`,
      `lowerdir=${lower.join(":")}`,
      "index=off",
    ];
  };

  test("an overlay of 100 layers with long paths", () => {
    using directory = temporaryDirectory();
    const options = overlay(directory, 100);
    mountAll([{ type: "overlay", source: "overlay", options }], directory.at("merged"));
    expect(readdirSync(directory.at("merged"))).toHaveLength(100);
    writeFileSync(directory.at("merged", "99"), "upper");
    expect(readFileSync(directory.at("upper", "99"), "utf8")).toBe("upper");
    expect(mountsAt(directory.at("merged"))[0]).toMatchObject({ type: "overlay", source: "overlay" });
  });

  for (const [name, byHand] of [
    ["by layer", mountByLayer],
    ["by descriptor", mountByDescriptor],
  ] as const) {
    test(`an overlay of 120 layers ${name}, read-only`, () => {
      using directory = temporaryDirectory();
      const data = overlay(directory, 120);
      byHand({ source: "overlay", target: directory.at("merged"), flags: 1 | 2, data });
      expect(readdirSync(directory.at("merged"))).toHaveLength(120);
      expect(() => writeFileSync(directory.at("merged", "99"), "upper")).toThrow("EROFS");
      expect(mountsAt(directory.at("merged"))[0]?.options).toEqual(expect.arrayContaining(["ro", "nosuid"]));
    });
  }

  test("a name with a colon in it, by layer and by descriptor", () => {
    for (const byHand of [mountByLayer, mountByDescriptor]) {
      using directory = temporaryDirectory();
      for (const name of ["a:b", "c", "merged"]) mkdirSync(directory.at(name));
      writeFileSync(directory.at("a:b", "file"), "");
      const data = [`lowerdir=${directory.at("a\\:b")}:${directory.at("c")}`];
      byHand({ source: "overlay", target: directory.at("merged"), flags: 0, data });
      expect(readdirSync(directory.at("merged"))).toEqual(["file"]);
    }
  });
});

test.skipIf(!isRoot)("overlay support is found out, and leaves nothing behind (needs root)", () => {
  using directory = temporaryDirectory();
  expect(overlaySupport(directory.path).problem).toBeUndefined();
  expect(hasEntryTypes(directory.path)).toBe(true);
  mount({ source: "ramfs", target: directory.path, type: "ramfs" });
  expect(overlaySupport(directory.path).problem ?? "fine").toMatch(/upper directory|can't be mounted|fine/);
  expect(readdirSync(directory.path)).toEqual([]);
});
