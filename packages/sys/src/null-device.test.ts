import { expect, test } from "bun:test";
import { fchmodSync, fchownSync, readSync, statSync, writeSync } from "node:fs";
import { Descriptor } from "./fd.ts";
import { openNull } from "./null-device.ts";

test("it swallows and is empty", () => {
  using nowhere = new Descriptor(openNull());
  expect(writeSync(nowhere.fd, "text")).toBe(4);
  expect(readSync(nowhere.fd, new Uint8Array(1))).toBe(0);
});

test.skipIf(process.getuid?.() !== 0)("who has it can't give it away, nor take it from others (root)", () => {
  using nowhere = new Descriptor(openNull());
  const before = statSync("/dev/null");
  expect(() => fchownSync(nowhere.fd, 65534, 65534)).toThrow("EROFS");
  expect(() => fchmodSync(nowhere.fd, 0o600)).toThrow("EROFS");
  expect(statSync("/dev/null")).toMatchObject({ uid: before.uid, mode: before.mode });
});
