import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mount, unmountAll } from "@hull/sys/mount";
import { whyNoNative, whyNoOverlay } from "./supports.ts";

const needsRoot = test.skipIf(process.getuid?.() !== 0);

needsRoot("the probes leave nothing behind (needs root: mounts)", async () => {
  const root = mkdtempSync(join(tmpdir(), "hull-supports-"));
  try {
    expect(await whyNoNative(root)).toBeUndefined();
    await whyNoOverlay(root);
    expect(readdirSync(root)).toEqual([]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

needsRoot("no overlay with layers on an overlay, and that is said (needs root: mounts)", async () => {
  const root = mkdtempSync(join(tmpdir(), "hull-supports-"));
  try {
    // A file system that can't be written to stands for all that can't be the upper one.
    mount({ source: "tmpfs", target: root, type: "tmpfs" });
    mount({ source: "proc", target: root, type: "proc" });
    expect(await whyNoOverlay(root).catch((error: unknown) => String(error))).toContain(root);
  } finally {
    unmountAll(root);
    rmSync(root, { recursive: true });
  }
});
