import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { close, open, openFlags, read, write } from "@hull/sys/fd";
import { makeFifo } from "@hull/sys/files";
import { Children } from "./children.ts";
import { ProcessStdio } from "./stdio.ts";

describe("FIFOs of a process that is to be checkpointed", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "hull-copy-"));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const owner = { id: "c1", namespace: "ns", uid: 0, gid: 0, children: new Children() };
  let fifos = 0;
  const fifo = (): string => {
    const path = join(directory, String(fifos++));
    makeFifo(path);
    return path;
  };

  /** Starts a shell on streams of its own. */
  async function started(script: string) {
    const names = { stdin: fifo(), stdout: fifo(), stderr: fifo() };
    const stdio = await ProcessStdio.open(names, owner, { checkpointable: true });
    const kinds = stdio.descriptors.map((fd) => readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/, ""));
    const child = Bun.spawn(["sh", "-c", script], { stdio: [...stdio.descriptors] as [number, number, number] });
    stdio.handedOver();
    return { names, stdio, kinds, child };
  }
  const readAll = (path: string) => new Response(Bun.spawn(["cat", path], { stdout: "pipe" }).stdout).text();
  const typeInto = (path: string, text: string): void => {
    const fd = open(path, openFlags.writeOnly | openFlags.nonBlocking);
    write(fd, new TextEncoder().encode(text));
    close(fd);
  };

  test("the process has pipes, its input comes from clients that come and go, and ends when they are told to be the last", async () => {
    const { names, stdio, kinds, child } = await started("echo err >&2; cat; echo end");
    expect(kinds).toEqual(["pipe:[]", "pipe:[]", "pipe:[]"]);
    const output = Promise.all([readAll(names.stdout), readAll(names.stderr)]);
    typeInto(names.stdin, "one ");
    await Bun.sleep(20);
    expect(child.exitCode).toBe(null);
    typeInto(names.stdin, "two ");
    stdio.closeStdin();
    expect(await child.exited).toBe(0);
    stdio.finish();
    await stdio.drained();
    expect(await output).toEqual(["one two end\n", "err\n"]);
    stdio.close();
  });

  test("a slow reader holds the process up and gets all", async () => {
    const { names, stdio, child } = await started("head -c 1000000 /dev/zero");
    await Bun.sleep(20);
    expect(child.exitCode).toBe(null);
    expect((await readAll(names.stdout)).length).toBe(1_000_000);
    expect(await child.exited).toBe(0);
    stdio.finish();
    await stdio.drained();
    stdio.close();
  });

  test("what the process has written is in the FIFO when its end is told", async () => {
    const { names, stdio, child } = await started("echo now");
    const reader = open(names.stdout, openFlags.readOnly | openFlags.nonBlocking);
    expect(await child.exited).toBe(0);
    stdio.finish();
    const bytes = new Uint8Array(16);
    expect(read(reader, bytes)).toBe(4);
    close(reader);
    await stdio.drained();
    stdio.close();
  });

  test("output that is more than the FIFO holds is there for a reader who comes after the end", async () => {
    const { names, stdio, child } = await started("head -c 100000 /dev/zero");
    expect(await child.exited).toBe(0);
    stdio.finish();
    expect((await readAll(names.stdout)).length).toBe(100_000);
    await stdio.drained();
    stdio.close();
  });

  test("a process that doesn't read its input, and one whose output nobody reads, leave nothing behind", async () => {
    const { names, stdio, child } = await started("exec <&-; echo unread; read -r line <&-");
    typeInto(names.stdin, "nobody reads this");
    await child.exited;
    stdio.finish();
    await stdio.drained();
    stdio.close();
    expect(() => open(names.stdin, openFlags.writeOnly | openFlags.nonBlocking)).toThrow(/ENXIO|No such device/);
    expect(() => open(names.stdout, openFlags.writeOnly | openFlags.nonBlocking)).toThrow(/ENXIO|No such device/);
  });
});
