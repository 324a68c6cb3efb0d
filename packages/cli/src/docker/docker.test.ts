import { describe, expect, test } from "bun:test";
import { isCode } from "@hull/errors";
import fc from "fast-check";
import { collectEnv, parseEnvFile } from "./env.ts";
import { repositoryAndTag } from "./find.ts";
import { ellipsis, formatList, formatSize } from "./format.ts";
import { checkName, newContainerId, randomName, shortId } from "./names.ts";
import { progressLine } from "./progress.ts";
import { parseSignal } from "./signals.ts";
import { parseSize } from "./size.ts";
import { describeState, notStarted } from "./state.ts";
import { parseMount, parseTmpfs, parseVolume } from "./volumes/parse.ts";

const none = (): void => {};

/** Any text gives a value or one of the errors that a user is meant to see. */
function survives(parse: (text: string) => unknown): void {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9:,./=+-]{0,20}$/)), (text) => {
      try {
        parse(text);
      } catch (error) {
        if (!isCode(error, "invalidArgument") && !isCode(error, "unimplemented")) throw error;
      }
    }),
  );
}

describe("volumes", () => {
  test("are bind mounts, private unless told", () => {
    const mount = { type: "bind" as const, source: "/a", destination: "/b" };
    expect(parseVolume("/a:/b", none)).toEqual({ ...mount, options: ["rbind", "rprivate"] });
    expect(parseVolume("/a:/b:rw", none)).toEqual({ ...mount, options: ["rbind", "rprivate"] });
    expect(parseVolume("/a:/b:ro,rshared", none)).toEqual({ ...mount, options: ["rbind", "ro", "rshared"] });
    expect(parseVolume("./a:/b", none).source).toBe(`${process.cwd()}/a`);
    expect(parseVolume("name:/b:ro,nocopy")).toEqual({
      type: "volume",
      source: "name",
      destination: "/b",
      options: ["rbind", "ro", "rprivate"],
      fill: false,
    });
    expect(parseVolume("/b")).toMatchObject({ type: "volume", source: undefined, destination: "/b", fill: true });
    expect(parseMount("type=bind,src=/tmp,dst=/b,readonly")).toEqual({
      type: "bind",
      source: "/tmp",
      destination: "/b",
      options: ["rbind", "rprivate", "ro"],
    });
    expect(parseMount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700").options).toEqual([
      "noexec",
      "nosuid",
      "nodev",
      "size=1048576",
      "mode=700",
    ]);
    expect(parseTmpfs("/t:size=1m").options).toEqual(["noexec", "nosuid", "nodev", "size=1m"]);
  });

  test("what can't be is said", () => {
    for (const text of ["", ":/b", "/a:b", "/a:/b:ro:x", "/a:/b:odd", "/a:/", "name/x:/b"])
      expect(() => parseVolume(text, none)).toThrow("volume");
    for (const text of [
      "type=odd,target=/a",
      "target=a",
      "source=x",
      "type=bind,target=/a",
      "odd=1,target=/a",
      "target",
    ])
      expect(() => parseMount(text)).toThrow(`invalid argument "${text}" for "--mount" flag: `);
    survives(parseMount);
    survives((text) => parseVolume(text, none));
    survives(parseTmpfs);
  });
});

test("sizes are docker's, both ways", () => {
  expect(["512m", "1.5g", "100", "64MB", "1k", "2KiB"].map((text) => parseSize(text, "limit"))).toEqual([
    536870912, 1610612736, 100, 67108864, 1024, 2048,
  ]);
  expect(() => parseSize("much", "memory limit")).toThrow('memory limit "much" is not a size');
  survives((text) => parseSize(text, "limit"));
  expect([0, 999, 1000, 7_800_000, 123_456, 2_040_000, 5e15].map(formatSize)).toEqual([
    "0B",
    "999B",
    "1kB",
    "7.8MB",
    "123kB",
    "2.04MB",
    "5PB",
  ]);
});

test("signals go by name, with or without SIG, and number", () => {
  expect(["TERM", "sigterm", "15", "KILL", "RTMIN+1", "SIGRTMAX"].map(parseSignal)).toEqual([15, 15, 15, 9, 35, 64]);
  expect(() => parseSignal("TREM")).toThrow('"TREM" is not a signal');
  expect(() => parseSignal("65")).toThrow();
  survives(parseSignal);
});

test("variables: files first, names alone from the environment", () => {
  expect(parseEnvFile("# c\nA=1 # not a comment\n\n  B\r\nC=\n", "f")).toEqual(["A=1 # not a comment", "B", "C="]);
  expect(collectEnv([], ["A=x=y", "HOME", "MISSING"], { HOME: "/root" })).toEqual(["A=x=y", "HOME=/root"]);
  expect(() => collectEnv([], ["=x"], {})).toThrow("has no name");
  survives((text) => parseEnvFile(text, "f"));
});

test("names are ones that may be given, ids are 64 digits", () => {
  for (let attempt = 0; attempt < 50; attempt++) checkName(randomName(attempt));
  expect(newContainerId()).toMatch(/^[0-9a-f]{64}$/);
  expect(shortId("a".repeat(64))).toBe("a".repeat(12));
  expect(shortId("my-container")).toBe("my-container");
  for (const name of ["", "a", "-ab", "a b", "ä1"]) expect(() => checkName(name)).toThrow("container's name");
});

test("an image is shown by repository and tag", () => {
  expect(repositoryAndTag("docker.io/library/alpine:3.20")).toEqual({ repository: "alpine", tag: "3.20" });
  expect(repositoryAndTag("ghcr.io/a/b:latest")).toEqual({ repository: "ghcr.io/a/b", tag: "latest" });
  expect(repositoryAndTag("odd name")).toEqual({ repository: "odd name", tag: "<none>" });
});

test("a container's state is told in docker's words", () => {
  const now = Date.now();
  const ago = (seconds: number): Date => new Date(now - seconds * 1000);
  expect(describeState(notStarted, now)).toBe("Created");
  expect(describeState({ ...notStarted, status: "running", startedAt: ago(301) }, now)).toBe("Up 5 minutes");
  expect(describeState({ ...notStarted, status: "paused", startedAt: ago(3) }, now)).toBe("Up 3 seconds (Paused)");
  expect(describeState({ ...notStarted, status: "exited", exitCode: 3, finishedAt: ago(3) }, now)).toBe(
    "Exited (3) 3 seconds ago",
  );
});

test("lists have no blanks at their ends", () => {
  expect(
    formatList([
      ["ID", "NAME"],
      ["1", "a"],
    ]),
  ).toBe("ID        NAME\n1         a\n");
  expect(ellipsis("0123456789", 5)).toBe("0123…");
});

test("a line of progress never wraps", () => {
  const name = `layer-sha256:${"0".repeat(64)}`;
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.nat(), fc.nat(), fc.nat(), (columns, done, total, rate) => {
      expect(progressLine(name, { event: "downloading", done, total, rate }, columns).length).toBeLessThan(columns);
    }),
  );
  expect(progressLine(name, { event: "downloading", done: 5e6, total: 1e7, rate: 2e6 }, 80)).toBe(
    `layer 000000000000    downloading   [${"=".repeat(12)}${" ".repeat(13)}] 5MB/10MB 2MB/s`,
  );
});
