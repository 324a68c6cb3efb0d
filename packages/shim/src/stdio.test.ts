import { describe, expect, test } from "bun:test";
import { ftruncateSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HullError } from "@hull/errors";
import { close, open, openFlags, read, write } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import fc from "fast-check";
import { Children } from "./children.ts";
import { ProcessStdio, parseStream } from "./stdio.ts";

describe("names of streams", () => {
  test("each form means what containerd means by it", () => {
    expect(parseStream("")).toEqual({ kind: "none" });
    expect(parseStream("/run/a b")).toEqual({ kind: "fifo", path: "/run/a b" });
    expect(parseStream("fifo:///run/a")).toEqual({ kind: "fifo", path: "/run/a" });
    const file = { kind: "file", path: "/log", rotation: undefined, times: false } as const;
    expect(parseStream("file:///var/log/a%20b")).toEqual({ ...file, path: "/var/log/a b" });
    expect(parseStream("file:///log?times=")).toEqual({ ...file, times: true });
    expect(parseStream("file:///log?max-size=2k&max-file=3")).toEqual({
      ...file,
      rotation: { maxSize: 2048, maxFiles: 3 },
    });
    for (const query of ["max-size=0", "max-size=-1", "max-size=1t", "max-file=3", "max-size=1k&max-file=0"]) {
      expect(() => parseStream(`file:///log?${query}`)).toThrow(/max-(size|file) takes/);
    }
    const args = ["id", "7", "flag"];
    expect(parseStream("binary:///bin/log?id=7&flag=")).toEqual({ kind: "binary", path: "/bin/log", args, version: 1 });
    expect(() => parseStream("relative")).toThrow("not an absolute path");
    expect(() => parseStream("file://relative")).toThrow("not an absolute path");
    expect(() => parseStream("file:///%zz")).toThrow("percent-encoding");
    expect(() => parseStream("tcp://host")).toThrow("unknown STDIO scheme tcp");
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
          expect(error).toBeInstanceOf(HullError);
        }
      }),
    );
  });
});

describe("open streams", () => {
  const inDirectory = async (work: (directory: string) => Promise<void>): Promise<void> => {
    const directory = mkdtempSync(join(tmpdir(), "hull-stdio-"));
    try {
      await work(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
  const owner = { id: "c1", namespace: "ns", uid: 0, gid: 0, children: new Children() };
  const bytes = (text: string) => new TextEncoder().encode(text);

  for (const text of ["late", ""]) {
    test(`output of ${text.length} bytes is kept for a late reader, who sees its end`, () =>
      inDirectory(async (directory) => {
        const path = join(directory, "out");
        makeFifo(path);
        const stdio = await ProcessStdio.open({ stdin: "", stdout: path, stderr: "" }, owner);
        const [, stdout] = stdio.descriptors;
        if (typeof stdout !== "number") throw new Error("no descriptor");
        write(stdout, bytes(text));
        stdio.handedOver();
        stdio.finish();
        // Who opens it to write alone is no reader.
        close(open(path, openFlags.writeOnly | openFlags.nonBlocking));
        await Bun.sleep(20);
        // The shell's opening blocks until there is a writer.
        const reader = Bun.spawn(["cat", path], { stdout: "pipe" });
        expect(await new Response(reader.stdout).text()).toBe(text);
        stdio.close();
      }));
  }

  test("a reader that is there sees the end, and output that nobody came for is gone with the process", () =>
    inDirectory(async (directory) => {
      const paths = [join(directory, "read"), join(directory, "unread")];
      for (const path of paths) makeFifo(path);
      const [stdout = "", stderr = ""] = paths;
      const stdio = await ProcessStdio.open({ stdin: "", stdout, stderr }, owner);
      const reader = open(stdout, openFlags.readOnly | openFlags.nonBlocking);
      for (const fd of stdio.descriptors.slice(1)) write(fd as number, bytes("text"));
      stdio.handedOver();
      stdio.finish();
      const buffer = new Uint8Array(16);
      expect([read(reader, buffer), read(reader, buffer)]).toEqual([4, 0]);
      close(reader);
      stdio.close();
      const late = open(stderr, openFlags.readOnly | openFlags.nonBlocking);
      expect(read(late, buffer)).toBe(0);
      close(late);
    }));

  test("a file is appended to, and may serve both outputs", () =>
    inDirectory(async (directory) => {
      const path = join(directory, "new", "log");
      for (const text of ["a", "b"]) {
        const stdio = await ProcessStdio.open({ stdin: "", stdout: `file://${path}`, stderr: "" }, owner);
        const [, stdout, stderr] = stdio.descriptors;
        expect(stderr).toBe(stdout as number);
        write(stdout as number, bytes(text));
        stdio.handedOver();
        stdio.close();
      }
      expect(readFileSync(path, "utf8")).toBe("ab");
    }));

  test("a process can do nothing to the file that it logs to but append", () =>
    inDirectory(async (directory) => {
      const path = join(directory, "log");
      const stdio = await ProcessStdio.open({ stdin: "", stdout: `file://${path}`, stderr: "" }, owner);
      const [, stdout] = stdio.descriptors;
      write(stdout as number, bytes("kept"));
      expect(() => ftruncateSync(stdout as number)).toThrow();
      stdio.handedOver();
      stdio.close();
      expect(readFileSync(path, "utf8")).toBe("kept");
    }));

  test("a logging process gets both outputs, says when it is ready, and is ended", () =>
    inDirectory(async (directory) => {
      const program = join(directory, "logger");
      const script = `#!/bin/sh
echo "$CONTAINER_NAMESPACE $CONTAINER_ID $# $1 $2" > "$2.env"
env | grep -v '^\\(PWD\\|SHLVL\\|_\\|CONTAINER_.*\\)=' >> "$2.env"
cat <&4 > "$2.err" 5>&- & cat <&3 > "$2.out" 5>&- &
trap 'wait %1 %2; echo ended >> "$2.env"; exit' TERM
exec 5>&-
wait; while :; do sleep 0.02; done
`;
      writeFileSync(program, script, { mode: 0o755 });
      const log = join(directory, "x");
      const stdio = await ProcessStdio.open({ stdin: "", stdout: `binary://${program}?to=${log}`, stderr: "" }, owner);
      const [, stdout, stderr] = stdio.descriptors;
      write(stdout as number, bytes("out"));
      write(stderr as number, bytes("err"));
      stdio.handedOver();
      stdio.finish();
      await stdio.drained();
      stdio.close();
      expect(readFileSync(`${log}.out`, "utf8")).toBe("out");
      expect(readFileSync(`${log}.err`, "utf8")).toBe("err");
      expect(readFileSync(`${log}.env`, "utf8")).toBe(`ns c1 2 to ${log}\nended\n`);
    }));

  test("a logging process that can't be started, or doesn't say that it is ready, is an error", () =>
    inDirectory(async (directory) => {
      const open = (stdout: string) =>
        ProcessStdio.open({ stdin: "", stdout, stderr: stdout }, owner).then(String, String);
      expect(await open(`binary://${directory}/none`)).toContain(
        `failed to start binary process: fork/exec ${directory}/none: no such file or directory`,
      );
      expect(await open("binary-v2:///bin/true")).toContain("without saying that it is ready");
    }));

  test("ends are given to the owner that the options name", () =>
    inDirectory(async (directory) => {
      if (process.getuid?.() !== 0) return;
      const path = join(directory, "out");
      makeFifo(path);
      const stdio = await ProcessStdio.open(
        { stdin: "", stdout: path, stderr: "" },
        { ...owner, uid: 1234, gid: 4321 },
      );
      expect(statSync(path)).toMatchObject({ uid: 1234, gid: 4321 });
      stdio.handedOver();
      stdio.close();
    }));
});
