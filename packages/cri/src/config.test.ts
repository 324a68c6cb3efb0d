import { expect, test } from "bun:test";
import { runtimeTable } from "./config.ts";

const handler = (keys: Readonly<Record<string, unknown>>) =>
  runtimeTable.parse({ containerd: { runtimes: { vm: keys } } }).containerd.runtimes.vm;

test("output over FIFOs can be asked for by name, and is the default", () => {
  expect(handler({ io_type: "fifo" })?.io_type).toBe("fifo");
  expect(handler({})?.io_type).toBe("");
});

test("a runtime with streaming output is refused when the configuration is read", () => {
  expect(() => handler({ io_type: "streaming" })).toThrow(
    'table "containerd": table "runtimes": table "vm": key "io_type" must be one of "", "fifo", not "streaming"',
  );
});
