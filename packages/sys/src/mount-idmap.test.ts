import { expect, test } from "bun:test";
import { chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { mountAll, unmountAll } from "./mount.ts";
import { mappedId, parseIdRanges } from "./mount-idmap.ts";
import { mountsOf } from "./testing.ts";

const needsRoot = test.skipIf(process.getuid?.() !== 0);

function folder(): Disposable & { at: (name: string) => string } {
  const path = mkdtempSync(join(tmpdir(), "hull-idmap-"));
  return { at: (name) => join(path, name), [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const mapping = ["uidmap=0:1000:100,100:5000:10", "gidmap=0:2000:110"];

test("ranges of ids are read, and ids found in them", () => {
  const ranges = parseIdRanges("0:1000:100,100:5000:10");
  expect(ranges).toEqual([
    { inside: 0, outside: 1000, size: 100 },
    { inside: 100, outside: 5000, size: 10 },
  ]);
  expect([0, 99, 100, 109].map((id) => mappedId(ranges, id))).toEqual([1000, 1099, 5000, 5009]);
  expect(() => mappedId(ranges, 110)).toThrow("id 110 is in none");
  for (const bad of ["", "0:1", "0:1:0", "a:1:1", "0:1:1,", "-1:0:1", "4294967295:0:1", "0:1:4294967295"]) {
    expect(() => parseIdRanges(bad)).toThrow(/range of ids/);
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseIdRanges(text);
      } catch (error) {
        expect(error).toMatchObject({ name: "HullError [invalidArgument]", code: "invalidArgument" });
      }
    }),
  );
});

needsRoot("a bind mount shows mapped owners (needs root)", () => {
  using place = folder();
  mkdirSync(place.at("source"));
  mkdirSync(place.at("target"));
  writeFileSync(place.at("source/root"), "");
  writeFileSync(place.at("source/other"), "");
  chownSync(place.at("source/other"), 105, 105);
  const options = ["ro", "rbind", ...mapping];
  mountAll([{ type: "bind", source: place.at("source"), options }], place.at("target"));
  try {
    const owner = (name: string) => [statSync(place.at(name)).uid, statSync(place.at(name)).gid];
    expect([owner("target/root"), owner("target/other")]).toEqual([
      [1000, 2000],
      [5005, 2105],
    ]);
    expect(() => writeFileSync(place.at("target/new"), "")).toThrow("EROFS");
  } finally {
    unmountAll(place.at("target"));
  }
});

// As systemd has them, and as a machine without it.
for (const propagation of ["shared", "private"])
  needsRoot(`an overlay on a ${propagation} mount shows mapped owners of what is below (needs root)`, () => {
    using place = folder();
    mountAll([{ type: "bind", source: place.at(""), options: ["bind", propagation] }], place.at(""));
    for (const name of ["1", "2", "upper", "work", "target"]) mkdirSync(place.at(name));
    writeFileSync(place.at("1/one"), "");
    writeFileSync(place.at("2/two"), "");
    chownSync(place.at("2/two"), 7, 8);
    const layers = [
      `workdir=${place.at("work")}`,
      `upperdir=${place.at("upper")}`,
      `lowerdir=${place.at("2")}:${place.at("1")}`,
    ];
    const before = mountsOf(place.at("")).length;
    mountAll([{ type: "overlay", source: "overlay", options: [...mapping, ...layers] }], place.at("target"));
    try {
      expect(readdirSync(place.at("target")).sort()).toEqual(["one", "two"]);
      expect(statSync(place.at("target/two"))).toMatchObject({ uid: 1007, gid: 2008 });
      expect(mountsOf(place.at("")).length).toBe(before + 1);
      writeFileSync(place.at("target/two"), "changed");
      expect(statSync(place.at("upper/two"))).toMatchObject({ uid: 1007, gid: 2008 });
    } finally {
      unmountAll(place.at("target"));
      unmountAll(place.at(""));
    }
  });
