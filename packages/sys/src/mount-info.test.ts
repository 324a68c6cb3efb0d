import { expect, test } from "bun:test";
import fc from "fast-check";
import { mountInfo, parseMountInfo } from "./mount-info.ts";

test("the example of proc(5)", () => {
  const line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n";
  expect(parseMountInfo(line)).toEqual([
    {
      id: 36,
      parent: 35,
      device: "98:0",
      root: "/mnt1",
      target: "/mnt2",
      options: ["rw", "noatime"],
      propagation: ["master:1", "shared:2"],
      type: "ext3",
      source: "/dev/root",
      superOptions: ["rw", "errors=continue"],
    },
  ]);
});

test("an empty source, a target that is a minus sign, an escaped comma", () => {
  const [info] = parseMountInfo("1 2 0:3 / /- rw - overlay  rw,lowerdir=/a\\134,b\n");
  expect(info).toMatchObject({ target: "/-", type: "overlay", source: "", superOptions: ["rw", "lowerdir=/a\\,b"] });
});

test("what isn't mountinfo is refused", () => {
  expect(() => parseMountInfo("no such line")).toThrow("not a line of mountinfo");
});

test("this process's mounts have a root", () => {
  expect(mountInfo().some(({ target }) => target === "/")).toBe(true);
});

// As seq_escape in the kernel writes it.
const escaped = (text: string) =>
  text.replace(/[ \t\n\\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);

test("any path survives", () => {
  const path = fc.string({
    unit: fc.constantFrom("a", "/", " ", "\t", "\n", "\\", "#", "0", "é", "-", "1"),
    minLength: 1,
  });
  fc.assert(
    fc.property(path, path, path, (root, target, source) => {
      const line = `1 2 0:3 ${escaped(root)} ${escaped(target)} rw shared:1 - tmpfs ${escaped(source)} rw`;
      expect(parseMountInfo(line)[0]).toMatchObject({ root, target, source });
    }),
  );
});
