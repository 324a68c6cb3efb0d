import { expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attachLoop } from "./loop.ts";
import { mountAll, unmountAll } from "./mount.ts";

const able = process.getuid?.() === 0 && existsSync("/dev/loop-control") && Bun.which("mkfs.ext4") !== null;

test.skipIf(!able)(
  "a file is mounted by a loop device, which goes with the mount (needs root, loop, mkfs.ext4)",
  () => {
    const place = mkdtempSync(join(tmpdir(), "hull-loop-"));
    try {
      const [image, target] = [join(place, "image"), join(place, "target")];
      writeFileSync(image, "");
      truncateSync(image, 8 << 20);
      Bun.spawnSync(["mkfs.ext4", "-q", image]);
      mkdirSync(target);
      mountAll([{ type: "ext4", source: image, options: ["loop"] }], target);
      writeFileSync(join(target, "file"), "kept");
      unmountAll(target);
      mountAll([{ type: "ext4", source: image, options: ["loop", "ro"] }], target);
      expect(readFileSync(join(target, "file"), "utf8")).toBe("kept");
      expect(() => writeFileSync(join(target, "file"), "")).toThrow("EROFS");
      unmountAll(target);
      const device = attachLoop(image);
      const backing = `/sys/block/${device.path.slice("/dev/".length)}/loop/backing_file`;
      expect(readFileSync(backing, "utf8").trim()).toBe(image);
      expect(statSync(device.path).isBlockDevice()).toBe(true);
      device[Symbol.dispose]();
      expect(() => attachLoop(join(place, "none"))).toThrow("ENOENT");
    } finally {
      rmSync(place, { recursive: true });
    }
  },
);
