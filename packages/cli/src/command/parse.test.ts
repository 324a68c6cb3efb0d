import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defineFlags } from "./flags.ts";
import { type Dialect, parseFlags } from "./parse.ts";

const flags = defineFlags({
  detach: { kind: "switch", aliases: ["d"], summary: "" },
  tty: { kind: "switch", aliases: ["t"], summary: "" },
  env: { kind: "list", aliases: ["e"], summary: "" },
  name: { kind: "text", aliases: ["n"], summary: "", default: "x", env: ["NAME"] },
  size: { kind: "integer", summary: "", default: 3 },
  wait: { kind: "duration", summary: "" },
  later: { kind: "switch", summary: "", supported: false },
  never: { kind: "switch", summary: "", supported: false, why: "there is no such thing" },
});

const parse = (dialect: Dialect, args: string[], stopAtArgument = false, env: Record<string, string> = {}) =>
  parseFlags(flags, args, { dialect, stopAtArgument, env });

describe("go", () => {
  test("one dash or two, values behind = or a blank, switches that say false", () => {
    const { values, rest, given } = parse("go", [
      "-env",
      "A=1",
      "a",
      "--env=B=2",
      "-d=false",
      "--t",
      "--wait",
      "1m30s",
    ]);
    expect(values).toMatchObject({ env: ["A=1", "B=2"], detach: false, tty: true, wait: 90_000, size: 3, name: "x" });
    expect(rest).toEqual(["a"]);
    expect([...given].sort()).toEqual(["detach", "env", "tty", "wait"]);
  });
  test("short flags don't combine; errors are in the words of Go's flag package", () => {
    expect(() => parse("go", ["-dt"])).toThrow("flag provided but not defined: -dt");
    expect(() => parse("go", ["-env"])).toThrow("flag needs an argument: -env");
    expect(() => parse("go", ["-size", "x"])).toThrow('invalid value "x" for flag -size: parse error');
    expect(() => parse("go", ["-d=maybe"])).toThrow('invalid boolean value "maybe" for -d: parse error');
  });
});

describe("posix", () => {
  test("short flags combine, the last may have its value with it", () => {
    expect(parse("posix", ["-dteA=1", "-e", "B", "--name=y"]).values).toMatchObject({
      detach: true,
      tty: true,
      env: ["A=1", "B"],
      name: "y",
    });
  });
  test("errors are in the words of pflag", () => {
    expect(() => parse("posix", ["--bogus=1"])).toThrow("unknown flag: --bogus");
    expect(() => parse("posix", ["-dx"])).toThrow("unknown shorthand flag: 'x' in -dx");
    expect(() => parse("posix", ["-e"])).toThrow("flag needs an argument: 'e' in -e");
  });
});

test("the environment gives what the command line leaves out", () => {
  expect(parse("go", [], false, { NAME: "env" }).values.name).toBe("env");
  expect(parse("go", ["-n", "line"], false, { NAME: "env" }).values.name).toBe("line");
});

test("a flag that is known and not served is refused", () => {
  expect(() => parse("go", ["--later"])).toThrow('flag "--later" is not supported by hull yet');
  expect(() => parse("go", ["--never"])).toThrow('flag "--never" is not supported by hull: there is no such thing');
});

test("from the first argument on, all belongs to the container", () => {
  const { values, rest } = parse("posix", ["-d", "image", "-t", "--", "x"], true);
  expect(values).toMatchObject({ detach: true, tty: false });
  expect(rest).toEqual(["image", "-t", "--", "x"]);
});

test("any arguments are parsed or refused, and those behind -- come through", () => {
  fc.assert(
    fc.property(
      fc.constantFrom<Dialect>("go", "posix"),
      fc.array(fc.string()),
      fc.array(fc.string()),
      (dialect, some, rest) => {
        let parsed: ReturnType<typeof parse>;
        try {
          parsed = parse(dialect, [...some, "--", ...rest]);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          return;
        }
        if (!some.includes("--") && parsed.values.env !== undefined && rest.length > 0 && !some.at(-1)?.startsWith("-"))
          expect(parsed.rest.slice(-rest.length)).toEqual(rest);
      },
    ),
  );
});
