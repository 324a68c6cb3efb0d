import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Descriptor, open, openFlags, pipe } from "./fd.ts";
import { moveAll, readStream, writeAll } from "./stream.ts";

/** A pipe whose ends are closed with it. */
function ends(): { read: Descriptor; write: Descriptor } & Disposable {
  const { read, write } = pipe({ nonBlocking: true });
  const [reading, writing] = [new Descriptor(read), new Descriptor(write)];
  return {
    ...{ read: reading, write: writing },
    [Symbol.dispose]() {
      reading[Symbol.dispose]();
      writing[Symbol.dispose]();
    },
  };
}

const bytes = Buffer.alloc(3_000_000, "0123456789abcdef-");

async function fill(to: Descriptor, step: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += step) await writeAll(to.fd, bytes.subarray(at, at + step));
  to[Symbol.dispose]();
}

test.each([1000, 4096, 1_000_000])("bytes that come in pieces of %d are moved from pipe to pipe", async (step) => {
  using from = ends();
  using to = ends();
  const moved = moveAll(from.read.fd, to.write.fd).then(() => to.write[Symbol.dispose]());
  const [all] = await Promise.all([Array.fromAsync(readStream(to.read.fd)), fill(from.write, step), moved]);
  expect(Buffer.concat(all).equals(bytes)).toBe(true);
});

test("bytes are copied to what takes no pages of a pipe", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hull-move-"));
  try {
    using from = ends();
    // splice(2) refuses a file that is appended to.
    const flags = openFlags.writeOnly | openFlags.create | openFlags.append;
    using file = new Descriptor(open(join(folder, "file"), flags));
    await Promise.all([moveAll(from.read.fd, file.fd), fill(from.write, 4096)]);
    expect(readFileSync(join(folder, "file")).equals(bytes)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("moving is stopped by a signal, whichever end is waited for", async () => {
  using empty = ends();
  using full = ends();
  const stop = new AbortController();
  const idle = moveAll(empty.read.fd, full.write.fd, { signal: stop.signal });
  await Bun.sleep(5);
  stop.abort();
  expect(await idle.catch((error: unknown) => error)).toMatchObject({ code: "canceled" });
});
