import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { temporaryDirectory } from "@hull/sys/testing";
import { bundlePaths, exchangeSpec } from "./bundle.ts";

test("a spec that is exchanged has its other parts to the last digit, and is back afterwards", () => {
  using directory = temporaryDirectory();
  const { config } = bundlePaths(directory.path);
  const own = `{"linux":{"resources":{"memory":{"limit":9223372036854771712}}},"args":[18446744073709551615,-1,1.5],"annotations":{"a":"b"}}`;
  writeFileSync(config, own);
  {
    using _exchanged = exchangeSpec(directory.path, { annotations: { c: "d" } });
    expect(readFileSync(config, "utf8")).toBe(own.replace('{"a":"b"}', '{"c":"d"}'));
  }
  expect(readFileSync(config, "utf8")).toBe(own);
});
