import { expect, test } from "bun:test";
import { withMountLabel } from "./mount-label.ts";

const overlay = { type: "overlay", source: "overlay", target: "", options: ["lowerdir=/a:/b"] };
const spec = (linux: object) => new TextEncoder().encode(JSON.stringify({ linux }));
const label = "system_u:object_r:container_file_t:s0:c1,c2";

test("a root file system is mounted with the label of the specification", () => {
  expect(withMountLabel([overlay], spec({ mountLabel: label }))).toEqual([
    { ...overlay, options: ["lowerdir=/a:/b", `context="${label}"`] },
  ]);
});

test("a label that a mount brings holds", () => {
  const own = { ...overlay, options: ['context="x:y:z:s0"'] };
  expect(withMountLabel([own], spec({ mountLabel: label }))).toEqual([own]);
});

test("without a label mounts are as they were", () => {
  for (const linux of [{}, { mountLabel: "" }, { cgroupsPath: '"mountLabel"' }])
    expect(withMountLabel([overlay], spec(linux))).toEqual([overlay]);
});
