import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { deviceNodes, deviceNodesAt } from "./device-nodes.ts";
import { makeDevice, makeFifo, makeNode } from "./files.ts";
import { temporaryDirectory } from "./testing.ts";

const asRoot = test.skipIf(process.getuid?.() !== 0);

test("a device has its number", () => {
  expect(deviceNodesAt("/dev/null")).toMatchObject([{ path: "/dev/null", type: "c", major: 1, minor: 3 }]);
  expect(() => deviceNodesAt("/etc/passwd")).toThrow('"/etc/passwd" is not a device node');
});

asRoot("a directory's devices, without what is made for each container (root)", () => {
  using directory = temporaryDirectory();
  mkdirSync(directory.at("sub"));
  mkdirSync(directory.at("pts"));
  for (const path of ["zero", "console", "sub/five", "pts/0"])
    makeNode(directory.at(path), "character", 0o600, makeDevice(1, 5));
  makeFifo(directory.at("fifo"));
  writeFileSync(directory.at("file"), "");
  expect(deviceNodes(directory.at()).map(({ path }) => path)).toEqual(
    ["sub/five", "zero"].map((path) => directory.at(path)),
  );
});
