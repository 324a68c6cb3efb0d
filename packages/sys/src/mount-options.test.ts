import { expect, test } from "bun:test";
import fc from "fast-check";
import { mountFlags as f, parseMountOptions } from "./mount-options.ts";

test("flags, propagation and data are told apart", () => {
  expect(parseMountOptions(["rbind", "ro", "nosuid", "rprivate", "shared"])).toEqual({
    flags: f.bind | f.recursive | f.readOnly | f.noSuid,
    propagation: [f.private | f.recursive, f.shared],
    data: [],
  });
  expect(parseMountOptions(["index=off", "lowerdir=/a,b:/c", "defaults", "X-containerd.mkdir.path=/x"])).toEqual({
    flags: 0,
    propagation: [],
    data: ["index=off", "lowerdir=/a,b:/c"],
  });
});

test("a later option overrides an earlier one", () => {
  expect(parseMountOptions(["ro", "rw"]).flags).toBe(0);
  expect(parseMountOptions(["rw", "ro"]).flags).toBe(f.readOnly);
  expect(parseMountOptions(["noexec", "nodev", "exec"]).flags).toBe(f.noDevices);
});

test("loop devices and mapped ids are told apart from what the file system is told", () => {
  expect(parseMountOptions(["loop", "discard", "ro"])).toEqual({
    flags: f.readOnly,
    propagation: [],
    data: ["discard"],
    loop: { directIo: false },
  });
  expect(parseMountOptions(["direct-io", "loop"])).toMatchObject({ data: [], loop: { directIo: true } });
  expect(parseMountOptions(["direct-io"]).data).toEqual(["direct-io"]);
  const mapping = { uidmap: "0:1000:10", gidmap: "0:2000:10" };
  expect(parseMountOptions(["gidmap=0:2000:10", "uidmap=0:1000:10", "rbind"])).toMatchObject({ data: [], mapping });
});

test("what can't be says so", () => {
  expect(() => parseMountOptions(["uidmap=0:1000:10"])).toThrow("go together");
  expect(() => parseMountOptions(["a\0b"])).toThrow("NUL");
});

test("names of an object's own members are no options", () => {
  expect(parseMountOptions(["constructor", "toString", "__proto__"]).data).toHaveLength(3);
});

test("every other option reaches the file system, in order", () => {
  const option = fc.stringMatching(/^[a-z]{1,3}=[a-z/:,]*$/).filter((text) => !/^[ug]idmap=/.test(text));
  fc.assert(
    fc.property(fc.array(option), (options) => {
      expect(parseMountOptions(options).data).toEqual(options);
    }),
  );
});
