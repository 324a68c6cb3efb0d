import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withTemporaryMount } from "../mount/index.ts";
import { whyNoOverlay } from "./supports.ts";

const needsRoot = test.skipIf(process.getuid?.() !== 0);

needsRoot("the probe leaves nothing behind (needs root: mounts)", async () => {
  const root = mkdtempSync(join(tmpdir(), "hull-supports-"));
  try {
    await whyNoOverlay(root);
    expect(readdirSync(root)).toEqual([]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

needsRoot("layers can't be kept on an overlay, and that is said (needs root: mounts)", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-supports-"));
  try {
    const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(directory, name));
    for (const path of [lower, upper, work]) mkdirSync(path ?? "");
    const options = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
    await withTemporaryMount([{ type: "overlay", source: "overlay", target: "", options }], async (root) => {
      expect(await whyNoOverlay(root)).toContain(`overlayfs can't be used in "${root}" on overlay`);
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
