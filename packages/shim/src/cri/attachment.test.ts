import { expect, test } from "bun:test";
import { Attachment } from "./attachment.ts";

const both = { stdout: true, stderr: true };
const chunk = new Uint8Array(64 * 1024);

test("a client takes what it wants, in order, to the end", async () => {
  const client = new Attachment({ ...both, stdout: false });
  for (const [output, byte] of [
    ["stderr", 1],
    ["stdout", 2],
    ["stderr", 3],
  ] as const)
    expect(client.give(output, Uint8Array.of(byte))).toBeUndefined();
  client.end();
  expect(client.give("stderr", Uint8Array.of(4))).toBeUndefined();
  expect(await Array.fromAsync(client)).toEqual([{ stderr: Uint8Array.of(1) }, { stderr: Uint8Array.of(3) }]);
});

test("whoever brings more than a client takes waits until it has taken", async () => {
  const client = new Attachment(both);
  let wait: Promise<void> | undefined;
  for (let given = 0; given < 5; given++) wait = client.give("stdout", chunk);
  expect(wait).toBeDefined();
  let waiting = true;
  void wait?.then(() => {
    waiting = false;
  });
  const taking = client[Symbol.asyncIterator]();
  await taking.next();
  await Bun.sleep(0);
  expect(waiting).toBe(true);
  for (let taken = 0; taken < 4; taken++) await taking.next();
  await wait;
  expect(waiting).toBe(false);
});

test("a client that takes nothing for long is let go, and nobody waits for it any more", async () => {
  const client = new Attachment(both, { patienceMs: 20 });
  let wait: Promise<void> | undefined;
  for (let given = 0; given < 5; given++) wait = client.give("stdout", chunk);
  await wait;
  expect(client.wants("stdout")).toBe(false);
  expect(await Array.fromAsync(client).catch(String)).toContain("has taken no output for 0.02 seconds");
});
