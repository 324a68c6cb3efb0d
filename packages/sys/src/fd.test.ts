import { expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync } from "node:fs";
import {
  close,
  Descriptor,
  duplicate,
  eventCounter,
  memoryFile,
  move,
  open,
  openFifo,
  openFlags,
  pipe,
  pipeCapacity,
  read,
  setNonBlocking,
  setPipeCapacity,
  syncFileSystem,
  write,
} from "./fd.ts";
import { makeFifo } from "./files.ts";
import { lockOwner, tryLock, unlock } from "./lock.ts";
import { copyStream, readStream, writeAll } from "./stream.ts";
import { temporaryDirectory } from "./testing.ts";

test("open says what it couldn't open", () => {
  expect(() => open("/no/such", openFlags.readOnly)).toThrow('open "/no/such": ENOENT: no such file or directory');
  expect(() => open("/etc/passwd", openFlags.readOnly | openFlags.directory)).toThrow("ENOTDIR");
  expect(() => open("/proc/self/exe", openFlags.readOnly | openFlags.noFollow)).toThrow("ELOOP");
  expect(() => close(-1)).toThrow("EBADF");
});

test("a descriptor is closed at the end of its scope, unless released", () => {
  let inner = -1;
  {
    using scope = new Descriptor(open("/dev/null", openFlags.readOnly));
    inner = scope.fd;
  }
  expect(() => close(inner)).toThrow("EBADF");
  using other = new Descriptor(open("/dev/null", openFlags.readOnly));
  close(other.release());
});

test("a FIFO opened both ways never blocks and never ends", () => {
  using directory = temporaryDirectory();
  makeFifo(directory.at("fifo"));
  const fd = openFifo(directory.at("fifo"), { nonBlocking: true });
  const into = new Uint8Array(10);
  expect(read(fd, into)).toBeUndefined();
  closeSync(openSync(directory.at("fifo"), "w"));
  expect(read(fd, into)).toBeUndefined();
  expect(write(fd, new Uint8Array(3))).toBe(3);
  expect(read(fd, into)).toBe(3);
  close(fd);
});

test("pipes: capacity, non-blocking writes, splice", () => {
  const a = pipe({ nonBlocking: true });
  const b = pipe();
  expect(setPipeCapacity(a.write, 8192)).toBe(8192);
  expect(pipeCapacity(a.read)).toBe(8192);
  expect(write(a.write, new Uint8Array(20000))).toBe(8192);
  expect(write(a.write, new Uint8Array(1))).toBeUndefined();
  expect(move("splice", a.read, b.write, 100000)).toBe(8192);
  expect(move("splice", a.read, b.write, 100000)).toBeUndefined();
  for (const fd of [a.read, a.write, b.read, b.write]) close(fd);
});

test("files copy inside the kernel, sparse sizes and all", () => {
  using directory = temporaryDirectory();
  writeFileSync(directory.at("from"), "0123456789");
  for (const how of ["copy_file_range", "sendfile"] as const) {
    const from = open(directory.at("from"), openFlags.readOnly);
    const to = open(directory.at(how), openFlags.writeOnly | openFlags.create);
    expect(move(how, from, to, 100)).toBe(10);
    expect(move(how, from, to, 100)).toBe(0);
    syncFileSystem(to);
    close(from);
    close(to);
  }
});

test("a lock excludes another open file, and its owner is known", () => {
  using directory = temporaryDirectory();
  const flags = openFlags.readWrite | openFlags.create;
  const a = open(directory.at("lock"), flags);
  const b = open(directory.at("lock"), flags);
  expect(lockOwner(directory.at("lock"))).toBeUndefined();
  expect(tryLock(a)).toBe(true);
  expect(tryLock(b)).toBe(false);
  expect(lockOwner(directory.at("lock"))).toBe(process.pid);
  unlock(a);
  expect(tryLock(b, "shared")).toBe(true);
  close(a);
  close(b);
});

test("memory files and event counters", () => {
  const file = memoryFile("hull-test");
  const copy = duplicate(file, 100);
  expect(copy).toBeGreaterThanOrEqual(100);
  expect(write(copy, new Uint8Array([1, 2]))).toBe(2);
  close(file);
  close(copy);
  const counter = eventCounter(3);
  const value = new Uint8Array(8);
  expect(read(counter, value)).toBe(8);
  expect(value[0]).toBe(3);
  expect(read(counter, value)).toBeUndefined();
  close(counter);
});

test("streams: a slow reader holds the writer back, everything arrives, the end is an end", async () => {
  const ends = pipe({ nonBlocking: true });
  const sent = new Uint8Array(3_000_000).map((_, index) => index % 251);
  let written = false;
  const writing = writeAll(ends.write, sent).then(() => {
    written = true;
    close(ends.write);
  });
  const chunks: Uint8Array[] = [];
  await Bun.sleep(5);
  expect(written).toBe(false);
  for await (const chunk of readStream(ends.read)) chunks.push(chunk);
  await writing;
  expect(Buffer.concat(chunks).equals(Buffer.from(sent))).toBe(true);
  close(ends.read);
});

test("a source that never runs dry leaves others their turn", async () => {
  const zero = open("/dev/zero", openFlags.readOnly);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const deadline = performance.now() + 30_000;
  for await (const _ of readStream(zero)) if (ticks > 3 || performance.now() > deadline) break;
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(3);
  close(zero);
});

test("a copy ends quietly when its reader goes away", async () => {
  const from = pipe({ nonBlocking: true });
  const to = pipe({ nonBlocking: true });
  const copying = copyStream(from.read, to.write);
  await writeAll(from.write, new Uint8Array([1, 2, 3]));
  await Bun.sleep(1);
  close(to.read);
  await writeAll(from.write, new Uint8Array([4]));
  expect(await copying).toBe(3);
  for (const fd of [from.read, from.write, to.write]) close(fd);
});

test("a wait can be canceled in the middle of a stream", async () => {
  const { read: out, write: into } = pipe();
  setNonBlocking(out, true);
  const reading = (async () => {
    for await (const _ of readStream(out, { signal: AbortSignal.timeout(5) }));
  })();
  await expect(reading).rejects.toMatchObject({ code: "canceled" });
  close(out);
  close(into);
});
