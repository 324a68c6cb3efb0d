import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseBootstrap } from "./bundle.ts";
import { KeyedLock } from "./keyed-lock.ts";
import { findShimBinary, isOwnRuntime, shimBinaryName } from "./shim-binary.ts";

describe("what a shim prints", () => {
  test("JSON, or the address alone", () => {
    expect(parseBootstrap("unix:///run/a\n")).toEqual({ version: 2, address: "unix:///run/a", protocol: "ttrpc" });
    const json = { version: 3, address: "unix:///run/b", protocol: "ttrpc" };
    expect(parseBootstrap(JSON.stringify(json))).toEqual(json);
    const old = JSON.stringify({ ...json, version: 1 });
    expect(parseBootstrap(old)).toEqual({ version: 2, address: old, protocol: "ttrpc" });
    expect(parseBootstrap(" \n")).toBe(undefined);
  });

  test("no text breaks it", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseBootstrap(text)));
  });
});

describe("a runtime's name", () => {
  test("leads to its shim", () => {
    expect(shimBinaryName("io.containerd.runsc.v1")).toBe("containerd-shim-runsc-v1");
    expect(isOwnRuntime("io.containerd.runc.v2")).toBe(true);
    expect(() => shimBinaryName("runc")).toThrow("invalid runtime name");
    expect(() => shimBinaryName("a/b.c.d")).toThrow("invalid runtime name");
    expect(findShimBinary("/bin/sh", { beside: "/" })).toBe("/bin/sh");
    expect(() => findShimBinary("io.containerd.none.v9", { path: "/bin", beside: "/usr/bin" })).toThrow(
      "containerd-shim-none-v9",
    );
  });
});

test("work under one key keeps its order, also after a failure", async () => {
  const lock = new KeyedLock();
  const order: number[] = [];
  const first = lock.run("a", async () => {
    await Bun.sleep(5);
    order.push(1);
    throw new Error("first");
  });
  const second = lock.run("a", async () => void order.push(2));
  const other = lock.run("b", async () => void order.push(0));
  await Promise.allSettled([first, second, other]);
  expect(order).toEqual([0, 1, 2]);
});
