import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetworkNamespace, inNetworkNamespace, unpinNamespace } from "./namespace.ts";
import { startWaitingThread } from "./thread.ts";

test("a waiting thread has an id of its own, hears no signals, and is gone when it is disposed of", () => {
  const thread = startWaitingThread();
  expect(thread.id).not.toBe(process.pid);
  expect(thread.isAlive()).toBe(true);
  const status = readFileSync(`/proc/self/task/${thread.id}/status`, "utf8");
  const blocked = BigInt(`0x${/^SigBlk:\t(\w+)$/m.exec(status)?.[1]}`);
  for (const signal of [2, 10, 15, 17, 30]) expect(blocked & (1n << BigInt(signal - 1))).not.toBe(0n);
  thread[Symbol.dispose]();
  thread[Symbol.dispose]();
  expect(thread.isAlive()).toBe(false);
  expect(existsSync(`/proc/self/task/${thread.id}`)).toBe(false);
});

test.skipIf(process.getuid?.() !== 0)("one that is started in a namespace shows it in /proc (needs root)", () => {
  const folder = mkdtempSync(join(tmpdir(), "hull-thread-"));
  const path = join(folder, "net");
  createNetworkNamespace(path);
  try {
    const home = readlinkSync("/proc/self/ns/net");
    using thread = inNetworkNamespace(path, startWaitingThread);
    expect(readlinkSync(`/proc/${thread.id}/ns/net`)).not.toBe(home);
    expect(readlinkSync("/proc/self/ns/net")).toBe(home);
    // Nothing but the loopback interface, below two lines of headings.
    expect(readFileSync(`/proc/${thread.id}/net/dev`, "utf8").trim().split("\n").length).toBe(3);
  } finally {
    unpinNamespace(path);
    rmSync(folder, { recursive: true });
  }
});

test("many can wait", () => {
  using threads = new DisposableStack();
  const ids = Array.from({ length: 100 }, () => threads.use(startWaitingThread()).id);
  expect(new Set(ids).size).toBe(100);
});
