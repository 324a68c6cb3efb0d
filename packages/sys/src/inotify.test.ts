import { expect, test } from "bun:test";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { Inotify, inotifyEvents, parseInotifyEvents } from "./inotify.ts";
import { temporaryDirectory } from "./testing.ts";

test("changes come as they happen", async () => {
  using directory = temporaryDirectory();
  using inotify = new Inotify();
  const watch = inotify.add(directory.path, inotifyEvents.created | inotifyEvents.movedFrom | inotifyEvents.movedTo);
  const seen: string[] = [];
  setTimeout(() => {
    mkdirSync(directory.at("a"));
    writeFileSync(directory.at("b"), "");
    renameSync(directory.at("b"), directory.at("c"));
  }, 5);
  for await (const change of inotify.changes()) {
    expect(change.watch).toBe(watch);
    seen.push(change.name);
    if (seen.length === 4) break;
  }
  expect(seen).toEqual(["a", "b", "b", "c"]);
  inotify.remove(watch);
  expect(() => inotify.add("/no/such", 2)).toThrow("ENOENT");
});

test("events without a name, and padded ones", () => {
  const bytes = new Uint8Array(16 + 32);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, -1, true);
  view.setUint32(4, inotifyEvents.overflow, true);
  view.setInt32(16, 7, true);
  view.setUint32(28, 16, true);
  bytes.set(new TextEncoder().encode("name"), 32);
  expect([...parseInotifyEvents(bytes)]).toEqual([
    { watch: -1, events: inotifyEvents.overflow, cookie: 0, name: "" },
    { watch: 7, events: 0, cookie: 0, name: "name" },
  ]);
});
