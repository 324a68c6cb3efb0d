import { describe, expect, test } from "bun:test";
import { lstatSync, readFileSync, readlinkSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { close, open, openFlags, write } from "./fd.ts";
import {
  getAttribute,
  hardLink,
  listAttributes,
  makeDevice,
  makeFifo,
  makeNode,
  punchHole,
  removeAttribute,
  rename,
  seek,
  setAttribute,
  setOwner,
  setTimes,
  splitDevice,
} from "./files.ts";
import { isRoot, temporaryDirectory } from "./testing.ts";

test("device numbers split and join, in glibc's layout", () => {
  expect(makeDevice(1, 3)).toBe(0x103n);
  expect(makeDevice(8, 0x12345)).toBe(0x12300845n);
  const part = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(part, part, (major, minor) => {
      expect(splitDevice(makeDevice(major, minor))).toEqual({ major, minor });
    }),
  );
});

test("a FIFO is one", () => {
  using directory = temporaryDirectory();
  makeFifo(directory.at("fifo"), 0o640);
  expect(statSync(directory.at("fifo")).isFIFO()).toBe(true);
  expect(statSync(directory.at("fifo")).mode & 0o777).toBe(0o640);
  expect(() => makeFifo(directory.at("fifo"))).toThrow("EEXIST");
});

describe.skipIf(!isRoot)("as root", () => {
  test("device nodes", () => {
    using directory = temporaryDirectory();
    makeNode(directory.at("null"), "character", 0o666, makeDevice(1, 3));
    expect(lstatSync(directory.at("null"), { bigint: true }).rdev).toBe(makeDevice(1, 3));
    makeNode(directory.at("whiteout"), "character", 0, 0n);
    expect(lstatSync(directory.at("whiteout"), { bigint: true }).rdev).toBe(0n);
  });

  test("owners and trusted attributes of a link itself", () => {
    using directory = temporaryDirectory();
    symlinkSync("nowhere", directory.at("link"));
    setOwner(directory.at("link"), 4000000000, 12);
    expect(lstatSync(directory.at("link"))).toMatchObject({ uid: 4000000000, gid: 12 });
    setAttribute(directory.at("link"), "trusted.test", new Uint8Array([1, 0, 2]));
    expect(getAttribute(directory.at("link"), "trusted.test")).toEqual(new Uint8Array([1, 0, 2]));
    expect(listAttributes(directory.at("link"))).toContain("trusted.test");
  });
});

test("attributes by descriptor, large, empty, absent", () => {
  using directory = temporaryDirectory();
  const fd = open(directory.at("file"), openFlags.readWrite | openFlags.create);
  const large = new Uint8Array(3000).fill(7);
  setAttribute(fd, "user.large", large);
  setAttribute(directory.at("file"), "user.empty", new Uint8Array());
  expect(getAttribute(directory.at("file"), "user.large")).toEqual(large);
  expect(getAttribute(fd, "user.empty")).toEqual(new Uint8Array());
  expect(getAttribute(fd, "user.none")).toBeUndefined();
  expect(listAttributes(fd).sort()).toEqual(["user.empty", "user.large"]);
  expect(removeAttribute(fd, "user.large")).toBe(true);
  expect(removeAttribute(fd, "user.large")).toBe(false);
  expect(() => getAttribute(directory.at("missing"), "user.a")).toThrow("ENOENT");
  close(fd);
});

test("times keep their nanoseconds, before 1970 too", () => {
  using directory = temporaryDirectory();
  writeFileSync(directory.at("file"), "");
  symlinkSync("file", directory.at("link"));
  setTimes(directory.at("link"), "omit", 1_234_567_890_123_456_789n);
  setTimes(directory.at("file"), "now", -5n);
  expect(lstatSync(directory.at("link"), { bigint: true }).mtimeNs).toBe(1_234_567_890_123_456_789n);
  expect(lstatSync(directory.at("file"), { bigint: true }).mtimeNs).toBe(-5n);
});

test("renames that don't replace, and that exchange", () => {
  using directory = temporaryDirectory();
  writeFileSync(directory.at("a"), "a");
  writeFileSync(directory.at("b"), "b");
  expect(() => rename(directory.at("a"), directory.at("b"), "noReplace")).toThrow("EEXIST");
  rename(directory.at("a"), directory.at("b"), "exchange");
  expect(readFileSync(directory.at("a"), "utf8")).toBe("b");
});

test("hard links of a link itself", () => {
  using directory = temporaryDirectory();
  symlinkSync("target", directory.at("link"));
  hardLink(directory.at("link"), directory.at("other"));
  expect(readlinkSync(directory.at("other"))).toBe("target");
});

test("names that are not UTF-8", () => {
  using directory = temporaryDirectory();
  const name = Buffer.concat([Buffer.from(`${directory.path}/`), Buffer.from([0xff, 0xfe])]);
  makeFifo(name);
  expect(lstatSync(name).isFIFO()).toBe(true);
});

test("holes, beyond four gigabytes", () => {
  using directory = temporaryDirectory();
  const fd = open(directory.at("file"), openFlags.readWrite | openFlags.create);
  truncateSync(directory.at("file"), 6 * 2 ** 30);
  expect(seek(fd, "data", 0)).toBeUndefined();
  expect(seek(fd, "hole", 5 * 2 ** 30)).toBe(5 * 2 ** 30);
  write(fd, new Uint8Array(65536).fill(1));
  expect(seek(fd, "data", 0)).toBe(5 * 2 ** 30);
  punchHole(fd, 5 * 2 ** 30, 65536);
  expect(seek(fd, "data", 0)).toBeUndefined();
  expect(statSync(directory.at("file")).size).toBe(6 * 2 ** 30);
  close(fd);
});
