import { expect, test } from "bun:test";
import { chownSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { mountsOf, temporaryDirectory } from "@hull/sys/testing";
import { makeMappedMounts } from "./mapped-mounts.ts";

const asRoot = test.skipIf(process.getuid?.() !== 0);
const range = [{ containerID: 0, hostID: 100_000, size: 65_536 }];

test("a spec without mapped mounts stays as it is", () => {
  expect(makeMappedMounts({})).toBeUndefined();
  expect(makeMappedMounts({ mounts: [{ source: "/a", uidMappings: [], gidMappings: [] }] })).toBeUndefined();
});

asRoot("directories and files show mapped owners, until they are given back (root)", () => {
  using directory = temporaryDirectory();
  mkdirSync(directory.at("data"));
  for (const file of [directory.at("data", "inner"), directory.at("file")]) {
    writeFileSync(file, "text");
    chownSync(file, 7, 8);
  }
  const plain = { source: directory.at("file") };
  const mapped = (source: string) => ({ source, uidMappings: range, gidMappings: range });
  const spec = { mounts: [plain, mapped(directory.at("data")), mapped(directory.at("file"))] };
  let place = "";
  {
    using made = makeMappedMounts(spec);
    const [first, data, file] = made?.mounts ?? [];
    expect(first).toEqual(plain);
    expect(Object.keys(data ?? {})).toEqual(["source"]);
    place = dirname(data?.source ?? "");
    expect(statSync(join(data?.source ?? "", "inner"))).toMatchObject({ uid: 100_007, gid: 100_008 });
    expect(statSync(file?.source ?? "")).toMatchObject({ uid: 100_007, gid: 100_008 });
  }
  expect(existsSync(place)).toBe(false);
  expect(statSync(directory.at("data", "inner")).uid).toBe(7);
});

asRoot("a file system without other owners says so (root)", () => {
  const proc = { source: "/proc/self", uidMappings: range, gidMappings: range };
  expect(() => makeMappedMounts({ mounts: [proc] })).toThrow(
    '"/proc/self" can\'t be mounted with the ids of a user namespace',
  );
});

asRoot("what can't be mounted leaves nothing (root)", () => {
  using directory = temporaryDirectory();
  writeFileSync(directory.at("file"), "");
  const mapped = (source: string) => ({ source, uidMappings: range, gidMappings: range });
  expect(() => makeMappedMounts({ mounts: [mapped(directory.at("file")), mapped(directory.at("gone"))] })).toThrow();
  expect(mountsOf(directory.path)).toEqual([]);
});
