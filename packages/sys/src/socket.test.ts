import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { close, open, openFlags, pipe, read, write } from "./fd.ts";
import {
  accept,
  connectUnix,
  listenDatagrams,
  listenUnix,
  maximumDescriptors,
  peerCredentials,
  receiveDescriptors,
  sendDatagram,
  sendDescriptors,
  socketPair,
} from "./socket.ts";
import { temporaryDirectory } from "./testing.ts";

const text = (value: string) => new TextEncoder().encode(value);

test("descriptors travel with their bytes and work at the other end", () => {
  const [a, b] = socketPair({ nonBlocking: true });
  const ends = pipe();
  const into = new Uint8Array(100);
  expect(receiveDescriptors(b, into)).toBeUndefined();
  expect(sendDescriptors(a, text("hello"), [ends.write, ends.read])).toBe(5);
  const message = receiveDescriptors(b, into);
  expect(message?.count).toBe(5);
  expect(message?.descriptors).toHaveLength(2);
  const [received = -1] = message?.descriptors ?? [];
  write(received, text("through"));
  expect(read(ends.read, into)).toBe(7);
  for (const fd of [a, ends.write, ends.read, ...(message?.descriptors ?? [])]) close(fd);
  expect(receiveDescriptors(b, into)).toEqual({ count: 0, descriptors: [] });
  close(b);
});

test("more descriptors than expected are closed, not leaked", () => {
  const [a, b] = socketPair();
  const before = readdirSync("/proc/self/fd").length;
  sendDescriptors(a, text("x"), new Array(5).fill(a));
  expect(() => receiveDescriptors(b, new Uint8Array(1), 2)).toThrow("EMSGSIZE");
  expect(readdirSync("/proc/self/fd").length).toBe(before);
  sendDescriptors(a, text("x"), new Array(maximumDescriptors).fill(a));
  const message = receiveDescriptors(b, new Uint8Array(1), maximumDescriptors);
  expect(message?.descriptors).toHaveLength(maximumDescriptors);
  for (const fd of [a, b, ...(message?.descriptors ?? [])]) close(fd);
});

test("a listener accepts, and knows its peer", () => {
  using directory = temporaryDirectory();
  const listener = listenUnix(directory.at("socket"));
  expect(accept(listener)).toBeUndefined();
  const client = connectUnix(directory.at("socket"));
  const server = accept(listener);
  if (server === undefined) throw new Error("nobody connected");
  expect(peerCredentials(server)).toEqual({
    pid: process.pid,
    user: process.getuid?.() ?? -1,
    group: process.getgid?.() ?? -1,
  });
  expect(() => listenUnix(directory.at("socket"))).toThrow("EADDRINUSE");
  expect(() => listenUnix(`/${"x".repeat(120)}`)).toThrow("107 bytes");
  for (const fd of [listener, client, server]) close(fd);
});

test("many messages leak nothing", () => {
  const [a, b] = socketPair();
  const file = open("/dev/null", openFlags.readOnly);
  const before = readdirSync("/proc/self/fd").length;
  const into = new Uint8Array(10);
  for (let index = 0; index < 2000; index++) {
    sendDescriptors(a, text("y"), [file]);
    for (const fd of receiveDescriptors(b, into)?.descriptors ?? []) close(fd);
  }
  expect(readdirSync("/proc/self/fd").length).toBe(before);
  for (const fd of [a, b, file]) close(fd);
});

test("datagrams keep their borders, at a path and in the abstract space", () => {
  using directory = temporaryDirectory();
  for (const path of [directory.at("s"), `@hull-${crypto.randomUUID()}`]) {
    expect(() => sendDatagram(path, text("nobody"))).toThrow(/ENOENT|ECONNREFUSED/);
    const listener = listenDatagrams(path);
    sendDatagram(path, text("one"));
    sendDatagram(path, text("two\n"));
    const into = new Uint8Array(100);
    expect(receiveDescriptors(listener, into)?.count).toBe(3);
    expect(receiveDescriptors(listener, into)?.count).toBe(4);
    expect(receiveDescriptors(listener, into)).toBeUndefined();
    expect(() => listenDatagrams(path)).toThrow("EADDRINUSE");
    close(listener);
  }
});
