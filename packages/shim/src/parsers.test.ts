import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { keyValues } from "./cgroup.ts";
import { parseShimFlags } from "./flags.ts";
import { ioEntries } from "./metrics-v2.ts";
import { lastErrorOf } from "./oci-runtime.ts";

describe("the command line", () => {
  test("as containerd writes it", () => {
    const args =
      "-namespace ns -address /run/a.sock -publish-binary /usr/bin/containerd -id c1 -bundle /b -debug delete".split(
        " ",
      );
    expect(parseShimFlags(args)).toMatchObject({
      namespace: "ns",
      address: "/run/a.sock",
      publishBinary: "/usr/bin/containerd",
      id: "c1",
      bundle: "/b",
      debug: true,
      action: "delete",
    });
    expect(parseShimFlags(["--id=a=b", "start"])).toMatchObject({ id: "a=b", action: "start" });
    expect(() => parseShimFlags(["-id"])).toThrow('"-id" needs a value');
    expect(() => parseShimFlags(["-other", "start"])).toThrow('"-other" is not known');
  });

  test("a value may be anything", () => {
    fc.assert(
      fc.property(fc.string(), (value) =>
        expect(parseShimFlags(["-id", value, "start"])).toMatchObject({ id: value, action: "start" }),
      ),
    );
  });
});

describe("the OCI runtime's log", () => {
  test("the last error counts; other lines are passed over", () => {
    const line = (level: string, msg: string) => JSON.stringify({ level, msg, time: "2026-01-01T00:00:00Z" });
    const text = [
      line("warning", "w"),
      line("error", "first"),
      "plain text",
      line("error", "last"),
      line("info", "i"),
      '{"lev',
    ];
    expect(lastErrorOf(text.join("\n"))).toBe("last");
    expect(lastErrorOf("")).toBe(undefined);
  });

  test("no text breaks it", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void lastErrorOf(text)));
  });
});

describe("cgroup files", () => {
  test("counters of any size stay exact", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z_]{1,12}$/), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
        (values) => {
          const text = Object.entries(values).map(([key, value]) => `${key} ${value}\n`);
          expect(Object.fromEntries(keyValues(text.join("")))).toEqual({ ...values });
        },
      ),
    );
  });

  test("io.stat by device", () => {
    expect(ioEntries("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \n")).toEqual([
      { major: 8n, minor: 16n, rbytes: 1n, wbytes: 2n, rios: 3n, wios: 4n },
      { major: 7n, minor: 0n, rbytes: 0n, wbytes: 0n, rios: 0n, wios: 0n },
    ]);
  });
});
