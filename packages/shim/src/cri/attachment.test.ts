import { expect, test } from "bun:test";
import { close, pipe, read, setPipeCapacity } from "@hull/sys/fd";
import { readStream } from "@hull/sys/stream";
import { ready } from "@hull/sys/watch";
import { Attachment } from "./attachment.ts";

const page = 4096;
/** More than a pipe of one page takes. */
const chunk = new Uint8Array(4 * page).fill(1);

/** A pipe that holds one page. */
function small(): { read: number; write: number } & Disposable {
  const ends = pipe({ nonBlocking: true });
  setPipeCapacity(ends.write, page);
  return { ...ends, [Symbol.dispose]: () => close(ends.read) };
}

async function bytesOf(fd: number): Promise<number> {
  let count = 0;
  for await (const { length } of readStream(fd)) count += length;
  return count;
}

test("a client takes what it wants, in order, to the end", async () => {
  using stderr = small();
  const client = new Attachment({ stderr: stderr.write });
  expect([client.wants("stdout"), client.wants("stderr"), client.wantsAny]).toEqual([false, true, true]);
  for (const [output, byte] of [
    ["stderr", 1],
    ["stdout", 2],
    ["stderr", 3],
  ] as const)
    expect(client.give(output, Uint8Array.of(byte))).toBeUndefined();
  client.finish();
  expect(client.give("stderr", Uint8Array.of(4))).toBeUndefined();
  expect(Buffer.concat(await Array.fromAsync(readStream(stderr.read)))).toEqual(Buffer.of(1, 3));
  await client.over;
});

test("whoever brings more than a client takes waits until it has taken, and all of it comes", async () => {
  using stdout = small();
  const client = new Attachment({ stdout: stdout.write });
  let waiting = true;
  const lent = Uint8Array.from(chunk);
  const given = client.give("stdout", lent)?.then(() => {
    waiting = false;
  });
  lent.fill(0);
  // What a process leaves behind is given without waiting.
  const last = client.give("stdout", Uint8Array.of(2));
  client.finish();
  await Bun.sleep(5);
  expect([given !== undefined, last !== undefined, waiting]).toEqual([true, true, true]);
  const all = Buffer.concat(await Array.fromAsync(readStream(stdout.read)));
  expect([...new Set(all)]).toEqual([1, 2]);
  expect(all.length).toBe(chunk.length + 1);
  await Promise.all([given, last, client.over]);
});

test("a client that takes nothing for long is let go, and nobody waits for it any more", async () => {
  using stdout = small();
  const client = new Attachment({ stdout: stdout.write }, { patienceMs: 20 });
  await client.give("stdout", chunk);
  expect(client.wants("stdout")).toBe(false);
  expect(await client.over.catch(String)).toContain("has taken no output for 0.02 seconds");
  expect(await bytesOf(stdout.read)).toBe(page);
});

test("one that takes little, but does, is kept", async () => {
  using stdout = small();
  const client = new Attachment({ stdout: stdout.write }, { patienceMs: 2000 });
  const given = client.give("stdout", chunk);
  const into = new Uint8Array(page);
  for (let taken = 0; taken < 4; taken++) {
    await Bun.sleep(600);
    await ready(stdout.read, "read");
    expect(read(stdout.read, into)).toBe(page);
  }
  await given;
  expect(client.wants("stdout")).toBe(true);
  client.end();
});

test("one whose other end is closed has gone", async () => {
  const { read: reading, write: writing } = pipe({ nonBlocking: true });
  const client = new Attachment({ stdout: writing });
  close(reading);
  expect(client.give("stdout", chunk)).toBeUndefined();
  await client.over;
});
