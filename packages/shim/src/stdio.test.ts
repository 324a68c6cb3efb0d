import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { close, open, openFlags, read, write } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import fc from "fast-check";
import { ProcessStdio, parseStream } from "./stdio.ts";

describe("names of streams", () => {
  test("each form means what containerd means by it", () => {
    expect(parseStream("")).toEqual({ kind: "none" });
    expect(parseStream("/run/a b")).toEqual({ kind: "fifo", path: "/run/a b" });
    expect(parseStream("fifo:///run/a")).toEqual({ kind: "fifo", path: "/run/a" });
    expect(parseStream("file:///var/log/a%20b")).toEqual({ kind: "file", path: "/var/log/a b" });
    const args = ["id", "7", "flag"];
    expect(parseStream("binary:///bin/log?id=7&flag=")).toEqual({ kind: "binary", path: "/bin/log", args, version: 1 });
    expect(() => parseStream("relative")).toThrow("not an absolute path");
    expect(() => parseStream("file://relative")).toThrow("not an absolute path");
    expect(() => parseStream("file:///%zz")).toThrow("percent-encoding");
    expect(() => parseStream("tcp://host")).toThrow('"tcp"');
  });

  test("an absolute path is itself, whatever is in it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (rest) => {
        fc.pre(!rest.includes("\0"));
        expect(parseStream(`/${rest}`)).toEqual({ kind: "fifo", path: `/${rest}` });
      }),
    );
  });

  test("any other text is a stream or an error of the family", () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        try {
          parseStream(name);
        } catch (error) {
          expect(error).toMatchObject({ name: "HullError" });
        }
      }),
    );
  });
});

describe("open streams", () => {
  const inDirectory = (work: (directory: string) => void): void => {
    const directory = mkdtempSync(join(tmpdir(), "hull-stdio-"));
    try {
      work(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
  const bytes = (text: string) => new TextEncoder().encode(text);

  test("output is kept for a late reader, and a reader sees the end", () =>
    inDirectory((directory) => {
      const path = join(directory, "out");
      makeFifo(path);
      const stdio = ProcessStdio.open({ stdin: "", stdout: path, stderr: "" });
      const [, stdout] = stdio.descriptors;
      if (typeof stdout !== "number") throw new Error("no descriptor");
      write(stdout, bytes("late"));
      stdio.handedOver();
      stdio.finish();
      const reader = open(path, openFlags.readOnly | openFlags.nonBlocking);
      const buffer = new Uint8Array(16);
      expect(read(reader, buffer)).toBe(4);
      expect(read(reader, buffer)).toBe(undefined);
      stdio.close();
      expect(read(reader, buffer)).toBe(0);
      close(reader);
    }));

  test("a file is appended to, and may serve both outputs", () =>
    inDirectory((directory) => {
      const path = join(directory, "new", "log");
      for (const text of ["a", "b"]) {
        const stdio = ProcessStdio.open({ stdin: "", stdout: `file://${path}`, stderr: `file://${path}` });
        const [, stdout, stderr] = stdio.descriptors;
        expect(stderr).toBe(stdout as number);
        write(stdout as number, bytes(text));
        stdio.handedOver();
        stdio.close();
      }
      expect(readFileSync(path, "utf8")).toBe("ab");
    }));
});
