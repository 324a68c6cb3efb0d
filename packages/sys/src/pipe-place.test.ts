import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { close, open, openFlags, pipe, read, write } from "./fd.ts";
import { openPlace, placeOfPipe } from "./pipe-place.ts";

test("a pipe is found by others, and only that pipe", () => {
  const { read: reading, write: writing } = pipe();
  const place = placeOfPipe(writing);
  if (place === undefined) throw new Error("a pipe has no place");
  {
    using other = openPlace(place);
    expect(write(other?.fd ?? -1, Buffer.from("some"))).toBe(4);
    // Its flags are its own: of the first one it isn't known whether it blocks.
    expect(write(other?.fd ?? -1, new Uint8Array(1 << 20))).toBe(65536 - 4096);
  }
  expect(read(reading, new Uint8Array(1 << 20))).toBe(4 + 65536 - 4096);
  const before = readdirSync("/proc/self/fd").length;
  expect(openPlace({ ...place, inode: place.inode + 1n })).toBeUndefined();
  expect(readdirSync("/proc/self/fd").length).toBe(before);
  close(writing);
  // Nobody else had it open by now.
  expect(read(reading, new Uint8Array(1))).toBe(0);
  expect(openPlace(place)).toBeUndefined();
  close(reading);
});

test("what is no pipe has no place", () => {
  const fd = open("/dev/null", openFlags.writeOnly);
  expect(placeOfPipe(fd)).toBeUndefined();
  close(fd);
});
