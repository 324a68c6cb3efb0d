/** Large messages between the real ctr, whose windows grow as it measures the connection, and the daemon: none may stand still. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { badImage } from "../support/bad-image.ts";
import type { Daemon } from "../support/containerd.ts";
import { noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);

const suite = noContainerd === undefined ? describe : describe.skip;

suite(`large messages${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  let folder: Scratch;
  let daemon: Daemon;

  beforeAll(async () => {
    folder = scratch();
    daemon = await startHull(folder.path);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const ctr = (...args: string[]) => runProgram(["ctr", "--address", daemon.address, ...args], { timeoutMs: 10_000 });

  test("twelve uploads", async () => {
    const bytes = randomBytes(24 << 20);
    for (let round = 0; round < 12; round++) {
      bytes.writeUInt32BE(round);
      const args = ["content", "ingest", "--expected-size", String(bytes.length), `upload${round}`];
      const outcome = await runProgram(["ctr", "--address", daemon.address, ...args], {
        stdin: bytes,
        timeoutMs: 10_000,
      });
      expect([round, outcome]).toEqual([round, { status: 0, stdout: "", stderr: "" }]);
    }
  });

  test("a manifest of 5 MB, read in one call", async () => {
    const archive = folder.join("image.tar");
    const annotations = { filler: "x".repeat(5 << 20) };
    writeFileSync(archive, badImage("example.com/large:1", { manifest: (manifest) => ({ ...manifest, annotations }) }));
    for (let round = 0; round < 4; round++) {
      expect([round, (await ctr("images", "import", archive)).status]).toEqual([round, 0]);
      await ctr("images", "rm", "--sync", "example.com/large:1");
    }
  });
});
