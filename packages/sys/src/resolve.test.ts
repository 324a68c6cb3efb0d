import { describe, expect, test } from "bun:test";
import { mkdirSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { close, open, openFlags } from "./fd.ts";
import { makeFifo } from "./files.ts";
import { openInside, readTextInside, resolveInRoot } from "./resolve.ts";
import { temporaryDirectory } from "./testing.ts";

function tree(directory: { at(...parts: string[]): string }): string {
  const root = directory.at("root");
  mkdirSync(join(root, "etc", "deep"), { recursive: true });
  writeFileSync(join(root, "etc", "passwd"), "inside");
  writeFileSync(directory.at("passwd"), "outside");
  symlinkSync("/etc", join(root, "absolute"));
  symlinkSync("../../../../passwd", join(root, "out"));
  symlinkSync("deep/..", join(root, "etc", "around"));
  symlinkSync("loop", join(root, "loop"));
  return root;
}

const cases: [path: string, resolved: string][] = [
  ["/etc/passwd", "etc/passwd"],
  ["../../etc/passwd", "etc/passwd"],
  ["absolute/passwd", "etc/passwd"],
  ["out", "passwd"],
  ["etc/around/around/passwd", "etc/passwd"],
  ["missing/../etc/./passwd", "etc/passwd"],
  ["a/b/c", "a/b/c"],
  ["", ""],
];

for (const [path, resolved] of cases) {
  test(`"${path}" is "${resolved}"`, () => {
    using directory = temporaryDirectory();
    const root = tree(directory);
    expect(resolveInRoot(root, path)).toBe(join(root, resolved).replace(/\/$/, ""));
  });
}

test("links without end, and NUL", () => {
  using directory = temporaryDirectory();
  const root = tree(directory);
  expect(() => resolveInRoot(root, "loop")).toThrow("more than 255 links");
  expect(() => resolveInRoot(root, "a\0b")).toThrow("NUL");
});

test("no path leads out", () => {
  using directory = temporaryDirectory();
  const root = tree(directory);
  const part = fc.constantFrom("..", ".", "", "etc", "absolute", "out", "around", "deep", "passwd", "new");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      expect(`${resolveInRoot(root, parts.join("/"))}/`.startsWith(`${root}/`)).toBe(true);
    }),
  );
});

describe("by the kernel", () => {
  test("texts of files alone, and those inside", () => {
    using directory = temporaryDirectory();
    const root = tree(directory);
    makeFifo(join(root, "fifo"));
    const opened = open(root, openFlags.path);
    const read = (path: string) => readTextInside(opened, path);
    expect(["/etc/passwd", "absolute/passwd"].map(read)).toEqual(["inside", "inside"]);
    expect(["out", "etc", "fifo", "loop", "missing"].map(read)).toEqual(Array(5).fill(undefined));
    close(opened);
  });

  test("clamped to the root, or refused", () => {
    using directory = temporaryDirectory();
    const root = open(tree(directory), openFlags.path | openFlags.directory);
    const where = (fd: number) => {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      close(fd);
      return path;
    };
    expect(where(openInside(root, "/absolute/passwd", openFlags.readOnly))).toBe(directory.at("root/etc/passwd"));
    expect(() => openInside(root, "out", openFlags.readOnly)).toThrow("ENOENT");
    expect(() => openInside(root, "../passwd", openFlags.readOnly, { escape: "refuse" })).toThrow("EXDEV");
    expect(() => openInside(root, "absolute/passwd", openFlags.readOnly, { noLinks: true })).toThrow("ELOOP");
    const created = openInside(root, "etc/new", openFlags.writeOnly | openFlags.create, { mode: 0o600 });
    expect(where(created)).toBe(directory.at("root/etc/new"));
    close(root);
  });
});
