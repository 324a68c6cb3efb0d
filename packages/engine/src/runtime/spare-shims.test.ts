import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isCode } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { processEnd } from "@hull/sys/watch";
import { SpareShims } from "./spare-shims.ts";

const command = [process.execPath, fileURLToPath(new URL("../../../shim/src/entry.ts", import.meta.url))];
const unavailable = (error: unknown) => isCode(error, "unavailable");

describe("spare shims", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "hull-spares-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const open = (count: number): SpareShims =>
    new SpareShims({ command, count, directories: { root: directory, state: directory } });

  /** The processes of shims, by their sockets' directory. */
  const processes = (): number[] =>
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(directory);
        } catch {
          return false; // has ended meanwhile
        }
      })
      .map(Number);

  const end = (pid: number): Promise<void> =>
    processEnd(pid).catch((error: unknown) => {
      if (!isErrno(error, "ESRCH")) throw error;
    });

  test("end when they are stopped, and no more are given", async () => {
    const spares = open(2);
    await spares.fill();
    const pids = processes();
    expect(pids).toHaveLength(2);
    await spares.stop();
    await Promise.all(pids.map(end));
    expect(await spares.take("default", "").catch(unavailable)).toBe(true);
    expect(processes()).toEqual([]);
  });

  test("end, too, that are being started when they are stopped", async () => {
    const spares = open(1);
    const filling = spares.fill().catch(unavailable);
    const taking = spares.take("default", "").catch(unavailable);
    await spares.stop();
    expect(await Promise.all([filling, taking])).toEqual([true, true]);
    await Promise.all(processes().map(end));
    expect(readdirSync(join(directory, "s"))).toEqual([]);
  });
});
